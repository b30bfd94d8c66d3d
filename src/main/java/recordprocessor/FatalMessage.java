package recordprocessor;

import com.fasterxml.jackson.annotation.JsonTypeName;
import software.amazon.kinesis.multilang.messages.Message;

/** The user's handler says that the shard must not be handled on, here. */
@JsonTypeName(FatalMessage.ACTION)
final class FatalMessage extends Message {
    static final String ACTION = "fatal";

    private String reason;

    FatalMessage() {}

    FatalMessage(String reason) {
        this.reason = reason;
    }

    public String getReason() {
        return reason;
    }

    public void setReason(String reason) {
        this.reason = reason;
    }
}
