package recordprocessor;

import java.io.IOException;

/** A frame from a worker that docs/protocol.md does not allow; the message says what is wrong and quotes nothing. */
final class MalformedFrameException extends IOException {
    private static final long serialVersionUID = 1L;

    MalformedFrameException(String message) {
        super(message);
    }
}
