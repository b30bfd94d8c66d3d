package recordprocessor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ReadableByteChannel;

/** A worker's frames out of its connection. */
final class FrameReader {
    private static final int LENGTH_BYTES = 4;

    private final ReadableByteChannel channel;
    /** Holds any frame that is allowed. In reading mode between two calls. */
    private final ByteBuffer buffer = ByteBuffer.allocate(LENGTH_BYTES + MessagePackWire.MAX_INCOMING_BYTES)
            .limit(0);

    FrameReader(ReadableByteChannel channel) {
        this.channel = channel;
    }

    /** The next frame without its length, or null at the end of the connection. */
    byte[] read(int maxBytes) throws IOException {
        if (!fill(LENGTH_BYTES)) {
            if (buffer.hasRemaining()) {
                throw new MalformedFrameException("its connection ended within a frame");
            }
            return null;
        }
        // Four bytes without a sign.
        long length = Integer.toUnsignedLong(buffer.getInt());
        if (length == 0 || length > maxBytes) {
            throw new MalformedFrameException(
                    "it sent a frame of " + length + " bytes; from 1 to " + maxBytes + " are allowed");
        }
        if (!fill((int) length)) {
            throw new MalformedFrameException("its connection ended within a frame");
        }
        byte[] content = new byte[(int) length];
        buffer.get(content);
        return content;
    }

    /** Whether so many bytes are there, which are waited for. */
    private boolean fill(int bytes) throws IOException {
        if (buffer.remaining() >= bytes) {
            return true;
        }
        buffer.compact();
        try {
            while (buffer.position() < bytes) {
                if (channel.read(buffer) < 0) {
                    return false;
                }
            }
            return true;
        } finally {
            buffer.flip();
        }
    }
}
