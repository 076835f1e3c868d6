"""The proxies' networks."""
