"""What every room shares: errors, identities, addresses, protocols. Standard library only."""
