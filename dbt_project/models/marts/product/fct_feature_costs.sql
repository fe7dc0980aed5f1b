-- One row per day and feature: requests, tokens and what they cost, with how long they took.
{{ request_costs_by('feature') }}
