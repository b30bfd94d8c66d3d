package recordprocessor;

import com.fasterxml.jackson.annotation.JsonTypeName;
import software.amazon.kinesis.multilang.messages.Message;

/** A worker of ours gets on, though it has acknowledged nothing: {@code timeoutInSeconds} counts anew. */
@JsonTypeName(ProgressMessage.ACTION)
final class ProgressMessage extends Message {
    static final String ACTION = "progress";
}
