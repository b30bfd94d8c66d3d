"""A shard's own process: speaks docs/protocol.md with the daemon, over a socket or its standard streams.

channel: bytes and file descriptors · messages: pure · conversation: messages over a channel · checkpointer ·
loop: the only loop · shard: from the connection to the exit status · load: the user's class · output:
everything that is printed or logged · tether: lives no longer than its parent.
"""
