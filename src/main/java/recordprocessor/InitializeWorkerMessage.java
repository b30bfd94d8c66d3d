package recordprocessor;

import com.fasterxml.jackson.annotation.JsonTypeName;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.multilang.messages.InitializeMessage;

/** MultiLang's initialize, with what our own workers also know: which stream and table the shard is of. */
@JsonTypeName(InitializeMessage.ACTION)
final class InitializeWorkerMessage extends InitializeMessage {
    private final String streamArn;
    private final String tableName;
    private final String workerId;

    InitializeWorkerMessage(InitializationInput input, String streamArn, String workerId) {
        super(input);
        this.streamArn = streamArn;
        this.tableName = SourceStreams.tableName(streamArn);
        this.workerId = workerId;
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
}
