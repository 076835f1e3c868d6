"""`vr loadtest`: how a server does under load, and how much it takes."""
