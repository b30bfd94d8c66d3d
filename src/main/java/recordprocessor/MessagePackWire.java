package recordprocessor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CodingErrorAction;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessagePackException;
import org.msgpack.core.MessageUnpacker;
import software.amazon.kinesis.multilang.messages.CheckpointMessage;
import software.amazon.kinesis.multilang.messages.InitializeMessage;
import software.amazon.kinesis.multilang.messages.LeaseLostMessage;
import software.amazon.kinesis.multilang.messages.Message;
import software.amazon.kinesis.multilang.messages.ProcessRecordsMessage;
import software.amazon.kinesis.multilang.messages.ShardEndedMessage;
import software.amazon.kinesis.multilang.messages.ShutdownRequestedMessage;
import software.amazon.kinesis.multilang.messages.StatusMessage;

/** The socket's bytes: a length, then so many bytes of MessagePack. docs/protocol.md has an example of each. */
final class MessagePackWire {
    /** What a worker may send at once. */
    static final int MAX_INCOMING_BYTES = 64 * 1024;

    private static final int MAX_OUTGOING_BYTES = 16 * 1024 * 1024;
    private static final int LENGTH_BYTES = 4;

    private static final MessagePack.UnpackerConfig STRICT = new MessagePack.UnpackerConfig()
            .withActionOnMalformedString(CodingErrorAction.REPORT)
            .withActionOnUnmappableString(CodingErrorAction.REPORT)
            .withStringSizeLimit(MAX_INCOMING_BYTES);

    private MessagePackWire() {}

    static byte[] frame(Message message) {
        MessagePackBuffer buffer = new MessagePackBuffer();
        message(buffer, message);
        return frameOf(buffer, 0);
    }

    /** What comes before the records in a frame of them. */
    static byte[] head(RecordsHeader header, List<Slice> records) {
        MessagePackBuffer buffer = new MessagePackBuffer();
        begin(buffer, ProcessRecordsMessage.ACTION, 4);
        buffer.string("millisBehindLatest");
        buffer.integerOrNil(header.millisBehindLatest());
        lease(buffer, header.lease());
        buffer.string("records");
        buffer.arrayHeader(records.size());
        return frameOf(buffer, records.stream().mapToLong(Slice::length).sum());
    }

    /** A frame up to what follows: so many bytes. */
    private static byte[] frameOf(MessagePackBuffer content, long following) {
        long length = content.size() + following;
        if (length > MAX_OUTGOING_BYTES) {
            throw new IllegalArgumentException("a frame would have " + length + " bytes, over " + MAX_OUTGOING_BYTES);
        }
        byte[] frame = new byte[LENGTH_BYTES + content.size()];
        ByteBuffer.wrap(frame).putInt((int) length);
        content.copyTo(frame, LENGTH_BYTES);
        return frame;
    }

    private static void message(MessagePackBuffer buffer, Message message) {
        if (message instanceof InitializeWorkerMessage initialize) {
            begin(buffer, InitializeMessage.ACTION, 9);
            field(buffer, "shardId", initialize.getShardId());
            field(buffer, "sequenceNumber", initialize.getSequenceNumber());
            field(buffer, "streamArn", initialize.getStreamArn());
            field(buffer, "tableName", initialize.getTableName());
            field(buffer, "workerId", initialize.getWorkerId());
            lease(buffer, new LeaseTerms(initialize.getDeadlineNanos(), initialize.getFencingToken()));
            field(buffer, "oneByOneUpTo", initialize.getOneByOneUpTo());
            buffer.string("attempts");
            buffer.integer(initialize.getAttempts());
        } else if (message instanceof CheckpointMessage checkpoint) {
            begin(buffer, CheckpointMessage.ACTION, 2);
            field(buffer, "sequenceNumber", checkpoint.getSequenceNumber());
            field(buffer, "error", checkpoint.getError());
        } else if (message instanceof LeaseMessage answer) {
            begin(buffer, LeaseMessage.ACTION, 2);
            lease(buffer, new LeaseTerms(answer.getDeadlineNanos(), answer.getFencingToken()));
        } else if (message instanceof ShutdownRequestedMessage) {
            begin(buffer, ShutdownRequestedMessage.ACTION, 0);
        } else if (message instanceof LeaseLostMessage) {
            begin(buffer, LeaseLostMessage.ACTION, 0);
        } else if (message instanceof ShardEndedMessage) {
            begin(buffer, ShardEndedMessage.ACTION, 0);
        } else {
            throw new IllegalArgumentException("not a message to a worker: " + message.getClass());
        }
    }

    private static void begin(MessagePackBuffer buffer, String action, int fields) {
        buffer.mapHeader(1 + fields);
        field(buffer, "action", action);
    }

    private static void lease(MessagePackBuffer buffer, LeaseTerms lease) {
        buffer.string("deadlineNanos");
        buffer.integer(lease.deadlineNanos());
        buffer.string("fencingToken");
        buffer.integer(lease.fencingToken());
    }

    private static void field(MessagePackBuffer buffer, String name, String value) {
        buffer.string(name);
        buffer.string(value);
    }

    /** A worker's message, out of a frame without its length. */
    static Message decode(byte[] content) throws MalformedFrameException {
        Map<String, Object> fields = fields(content);
        Object action = fields.get("action");
        if (StatusMessage.ACTION.equals(action)) {
            return new StatusMessage(text(fields, "responseFor"));
        }
        if (AcknowledgeMessage.ACTION.equals(action)) {
            return new AcknowledgeMessage(text(fields, "sequenceNumber"));
        }
        if (CheckpointMessage.ACTION.equals(action)) {
            return new CheckpointMessage(text(fields, "sequenceNumber"), null, null);
        }
        if (LeaseMessage.ACTION.equals(action)) {
            return new LeaseMessage();
        }
        if (ProgressMessage.ACTION.equals(action)) {
            return new ProgressMessage();
        }
        if (FatalMessage.ACTION.equals(action)) {
            return new FatalMessage(text(fields, "reason"));
        }
        if (HelloMessage.ACTION.equals(action)) {
            return new HelloMessage(text(fields, "token"), number(fields, "worker"), number(fields, "pid"));
        }
        throw new MalformedFrameException("it sent a frame with an action that is no worker's");
    }

    /** Nothing that is declared is believed: what is allocated is bounded by what came. */
    private static Map<String, Object> fields(byte[] content) throws MalformedFrameException {
        try (MessageUnpacker unpacker = STRICT.newUnpacker(content)) {
            Map<String, Object> fields = new HashMap<>();
            int count = unpacker.unpackMapHeader();
            for (int i = 0; i < count; i++) {
                String name = unpacker.unpackString();
                if (i == 0 && !name.equals("action")) {
                    throw new MalformedFrameException("it sent a frame that does not begin with its action");
                }
                if (fields.containsKey(name)) {
                    throw new MalformedFrameException("it sent a frame with a field twice");
                }
                fields.put(name, scalar(unpacker));
            }
            if (unpacker.hasNext()) {
                throw new MalformedFrameException("it sent a frame with more behind its message");
            }
            return fields;
        } catch (MalformedFrameException e) {
            throw e;
        } catch (MessagePackException | IOException e) {
            throw new MalformedFrameException("it sent a frame that is not a whole map of MessagePack");
        }
    }

    private static Object scalar(MessageUnpacker unpacker) throws IOException {
        return switch (unpacker.getNextFormat().getValueType()) {
            case STRING -> unpacker.unpackString();
            case INTEGER -> unpacker.unpackLong();
            case BOOLEAN -> unpacker.unpackBoolean();
            case NIL -> {
                unpacker.unpackNil();
                yield null;
            }
            default ->
                throw new MalformedFrameException(
                        "it sent a frame with a value that is no string, integer, boolean or nil");
        };
    }

    private static String text(Map<String, Object> fields, String name) throws MalformedFrameException {
        if (fields.get(name) instanceof String value) {
            return value;
        }
        throw new MalformedFrameException("it sent a frame whose " + name + " is missing or no string");
    }

    private static long number(Map<String, Object> fields, String name) throws MalformedFrameException {
        if (fields.get(name) instanceof Long value && value >= 0) {
            return value;
        }
        throw new MalformedFrameException("it sent a frame whose " + name + " is missing or no whole number");
    }
}
