package recordprocessor;

import com.fasterxml.jackson.annotation.JsonTypeName;
import software.amazon.kinesis.multilang.messages.Message;

/** A worker of ours has handled every record up to this one. */
@JsonTypeName(AcknowledgeMessage.ACTION)
final class AcknowledgeMessage extends Message {
    static final String ACTION = "acknowledge";

    private String sequenceNumber;

    AcknowledgeMessage() {}

    AcknowledgeMessage(String sequenceNumber) {
        this.sequenceNumber = sequenceNumber;
    }

    public String getSequenceNumber() {
        return sequenceNumber;
    }

    public void setSequenceNumber(String sequenceNumber) {
        this.sequenceNumber = sequenceNumber;
    }
}
