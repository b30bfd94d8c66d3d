package recordprocessor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CodingErrorAction;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessagePackException;
import org.msgpack.core.MessagePacker;
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
        return frame(MessagePackRecord.bytes(packer -> message(packer, message)), List.of());
    }

    /** The records are as {@link MessagePackRecord} made them when they arrived. */
    static byte[] frame(RecordsHeader header, List<byte[]> records) {
        byte[] head = MessagePackRecord.bytes(packer -> {
            begin(packer, ProcessRecordsMessage.ACTION, 4);
            packer.packString("millisBehindLatest");
            if (header.millisBehindLatest() == null) {
                packer.packNil();
            } else {
                packer.packLong(header.millisBehindLatest());
            }
            lease(packer, header.lease());
            packer.packString("records");
            packer.packArrayHeader(records.size());
        });
        return frame(head, records);
    }

    private static byte[] frame(byte[] head, List<byte[]> records) {
        long length =
                head.length + records.stream().mapToLong(each -> each.length).sum();
        if (length > MAX_OUTGOING_BYTES) {
            throw new IllegalArgumentException("a frame would have " + length + " bytes, over " + MAX_OUTGOING_BYTES);
        }
        ByteBuffer frame = ByteBuffer.allocate(LENGTH_BYTES + (int) length);
        frame.putInt((int) length).put(head);
        records.forEach(frame::put);
        return frame.array();
    }

    private static void message(MessagePacker packer, Message message) throws IOException {
        if (message instanceof InitializeWorkerMessage initialize) {
            begin(packer, InitializeMessage.ACTION, 9);
            field(packer, "shardId", initialize.getShardId());
            field(packer, "sequenceNumber", initialize.getSequenceNumber());
            field(packer, "streamArn", initialize.getStreamArn());
            field(packer, "tableName", initialize.getTableName());
            field(packer, "workerId", initialize.getWorkerId());
            lease(packer, new LeaseTerms(initialize.getDeadlineNanos(), initialize.getFencingToken()));
            field(packer, "oneByOneUpTo", initialize.getOneByOneUpTo());
            packer.packString("attempts");
            packer.packInt(initialize.getAttempts());
        } else if (message instanceof CheckpointMessage checkpoint) {
            begin(packer, CheckpointMessage.ACTION, 2);
            field(packer, "sequenceNumber", checkpoint.getSequenceNumber());
            field(packer, "error", checkpoint.getError());
        } else if (message instanceof LeaseMessage answer) {
            begin(packer, LeaseMessage.ACTION, 2);
            lease(packer, new LeaseTerms(answer.getDeadlineNanos(), answer.getFencingToken()));
        } else if (message instanceof ShutdownRequestedMessage) {
            begin(packer, ShutdownRequestedMessage.ACTION, 0);
        } else if (message instanceof LeaseLostMessage) {
            begin(packer, LeaseLostMessage.ACTION, 0);
        } else if (message instanceof ShardEndedMessage) {
            begin(packer, ShardEndedMessage.ACTION, 0);
        } else {
            throw new IllegalArgumentException("not a message to a worker: " + message.getClass());
        }
    }

    private static void begin(MessagePacker packer, String action, int fields) throws IOException {
        packer.packMapHeader(1 + fields);
        field(packer, "action", action);
    }

    private static void lease(MessagePacker packer, LeaseTerms lease) throws IOException {
        packer.packString("deadlineNanos");
        packer.packLong(lease.deadlineNanos());
        packer.packString("fencingToken");
        packer.packLong(lease.fencingToken());
    }

    private static void field(MessagePacker packer, String name, String value) throws IOException {
        packer.packString(name);
        MessagePackRecord.string(packer, value);
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
