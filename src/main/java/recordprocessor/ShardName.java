package recordprocessor;

/** A shard, and the ARN of its stream. */
record ShardName(String streamArn, String shardId) {
    @Override
    public String toString() {
        return "shard " + shardId + " of stream " + streamArn;
    }
}
