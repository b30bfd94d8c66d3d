"""A shard's own process, `python -m record_processor.worker`: started by the daemon, speaks MultiLang's JSON.

channel: bytes and file descriptors · messages: pure · conversation: messages over a channel · checkpointer ·
loop: the only loop · load: the user's class · output: everything that is printed or logged · tether: lives no
longer than its parent.
"""
