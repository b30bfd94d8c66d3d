package recordprocessor;

import com.fasterxml.jackson.annotation.JsonTypeName;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.multilang.messages.InitializeMessage;

/**
 * MultiLang's initialize, with what our own workers also know: the shard's stream, table and lease, and what has
 * ended the processes before.
 */
@JsonTypeName(InitializeMessage.ACTION)
final class InitializeWorkerMessage extends InitializeMessage {
    private final String streamArn;
    private final String tableName;
    private final String workerId;
    private final LeaseTerms lease;
    private final Crashes.Suspicion suspicion;

    InitializeWorkerMessage(
            InitializationInput input,
            String streamArn,
            String workerId,
            LeaseTerms lease,
            Crashes.Suspicion suspicion) {
        super(input);
        this.streamArn = streamArn;
        this.tableName = SourceStreams.tableName(streamArn);
        this.workerId = workerId;
        this.lease = lease;
        this.suspicion = suspicion;
    }

    public String getStreamArn() {
        return streamArn;
    }

    public String getTableName() {
        return tableName;
    }

    public String getWorkerId() {
        return workerId;
    }

    public long getDeadlineNanos() {
        return lease.deadlineNanos();
    }

    public long getFencingToken() {
        return lease.fencingToken();
    }

    public String getOneByOneUpTo() {
        return suspicion.oneByOneUpTo() == null
                ? null
                : suspicion.oneByOneUpTo().toString();
    }

    public int getAttempts() {
        return suspicion.attempts();
    }
}
