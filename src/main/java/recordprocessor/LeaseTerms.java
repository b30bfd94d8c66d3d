package recordprocessor;

/**
 * What a worker has to know of its shard's lease.
 *
 * @param deadlineNanos when the lease ends unless it is renewed, on {@link System#nanoTime}'s clock
 * @param fencingToken the lease's counter, which only grows, from one owner to the next, too
 */
record LeaseTerms(long deadlineNanos, long fencingToken) {}
