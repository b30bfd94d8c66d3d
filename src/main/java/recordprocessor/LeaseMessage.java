package recordprocessor;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonTypeName;
import software.amazon.kinesis.multilang.messages.Message;

/** Without its fields a worker's question how long the shard's lease lasts, with them the daemon's answer. */
@JsonTypeName(LeaseMessage.ACTION)
@JsonInclude(JsonInclude.Include.NON_NULL)
final class LeaseMessage extends Message {
    static final String ACTION = "lease";

    private final Long deadlineNanos;
    private final Long fencingToken;

    LeaseMessage() {
        this.deadlineNanos = null;
        this.fencingToken = null;
    }

    LeaseMessage(LeaseTerms terms) {
        this.deadlineNanos = terms.deadlineNanos();
        this.fencingToken = terms.fencingToken();
    }

    public Long getDeadlineNanos() {
        return deadlineNanos;
    }

    public Long getFencingToken() {
        return fencingToken;
    }
}
