"""The colours of a sign (DESIGN §8), wherever Python draws. Never alone: a form goes with them."""

POSITIVE, NEGATIVE = "#1b7f79", "#b8621b"
