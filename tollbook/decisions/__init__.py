"""What people ask before they decide: what it will cost, what else it could cost, whether it became dearer."""
