"""What a person reads after a night: the summary in the terminal and the page, both from the published marts."""
