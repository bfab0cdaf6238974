"""What HTTP statuses mean to us, each in one place."""

PASSING = frozenset({408, 425, 429})
"""A read that got one of these may soon succeed if it is repeated. So may one that got a 5xx."""

REFUSES_KEY = frozenset({401, 403})
"""The key is unknown, or may not do this."""

REFUSES_ACCOUNT = REFUSES_KEY | {402}
"""The key or the account: every other submission would fail as well."""

GONE = frozenset({404, 410})
"""Nothing is there, as far as this host knows."""
