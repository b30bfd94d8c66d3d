package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;
import software.amazon.kinesis.multilang.messages.CheckpointMessage;
import software.amazon.kinesis.multilang.messages.Message;
import software.amazon.kinesis.multilang.messages.ShardEndedMessage;
import software.amazon.kinesis.multilang.messages.StatusMessage;

/** Real child processes, each a line of Python. */
class StdioTransportTest {
    private final List<Message> messages = new CopyOnWriteArrayList<>();
    private final List<String> ends = new CopyOnWriteArrayList<>();
    private final ListAppender<ILoggingEvent> log = new ListAppender<>();
    private Transport transport;

    @BeforeEach
    void listenToChildren() {
        log.list = new CopyOnWriteArrayList<>();
        log.setContext((LoggerContext) LoggerFactory.getILoggerFactory());
        log.start();
        ((Logger) Logging.CHILDREN).addAppender(log);
    }

    @AfterEach
    void end() {
        ((Logger) Logging.CHILDREN).detachAppender(log);
        if (transport != null) {
            transport.kill();
        }
    }

    private void start(String python) throws IOException {
        String settings = new ObjectMapper()
                .writeValueAsString(Map.of("settings", Map.of(), "command", List.of("python3", "-c", python)));
        transport = StdioTransport.factory(Settings.parse(settings)).start("shardId-1");
        transport.listen(new Transport.Listener() {
            @Override
            public void onMessage(Message message) {
                messages.add(message);
            }

            @Override
            public void onEnd(String reason) {
                ends.add(reason);
            }
        });
    }

    private List<String> logged() {
        return log.list.stream().map(ILoggingEvent::getFormattedMessage).toList();
    }

    @Test
    void messagesGoBothWaysInUtf8() throws IOException {
        start("import sys, json\n"
                + "seen = json.loads(sys.stdin.buffer.readline())\n"
                + "sys.stdout.buffer.write((json.dumps({'action': 'status', 'responseFor': seen['sequenceNumber']},"
                + " ensure_ascii=False) + '\\n').encode())");
        transport.send(new CheckpointMessage("zażółć 🐢", null, null));
        Fakes.await("the answer", () -> messages.size() == 1);
        assertEquals("zażółć 🐢", ((StatusMessage) messages.get(0)).getResponseFor());
        Fakes.await("its end", () -> ends.size() == 1);
        assertEquals("it ended with exit code 0", ends.get(0));
    }

    @Test
    void outputThatIsNoMessageIsLogWithTheShardsId() throws IOException {
        start(
                "import sys\n"
                        + "print('null'); print('[1]'); print('{\"action\": \"nonsense\"}'); print('{broken'); print('x' * 1000000)\n"
                        + "print('{\"action\": \"status\", \"responseFor\": \"initialize\"}')\n"
                        + "sys.stderr.write('\\x1e{\"level\": \"ERROR\", \"logger\": \"mine\", \"message\": \"two\\\\nlines\"}\\nplain\\n')");
        Fakes.await("its end", () -> ends.size() == 1);
        assertEquals(1, messages.size());
        assertTrue(logged().containsAll(List.of("null", "[1]", "{\"action\": \"nonsense\"}", "{broken", "plain")));
        assertEquals(
                1_000_000,
                logged().stream()
                        .filter(text -> text.startsWith("xx"))
                        .mapToInt(String::length)
                        .sum());
        ILoggingEvent error = log.list.stream()
                .filter(event -> event.getFormattedMessage().equals("two\nlines"))
                .findFirst()
                .orElseThrow();
        assertEquals("ERROR", error.getLevel().toString());
        assertEquals("mine", error.getMDCPropertyMap().get(Logging.LOGGER));
        assertEquals("shardId-1", error.getMDCPropertyMap().get(Logging.SHARD));
    }

    @Test
    void theDeathOfAChildIsSeenThoughAGrandchildHoldsItsPipes() throws IOException {
        start("import subprocess, os, signal\n"
                + "subprocess.Popen(['sleep', '60'])\n"
                + "os.kill(os.getpid(), signal.SIGKILL)");
        long before = System.nanoTime();
        Fakes.await("its end", () -> ends.size() == 1);
        assertEquals("it ended with signal 9", ends.get(0));
        assertTrue(System.nanoTime() - before < 10_000_000_000L);
    }

    @Test
    void aChildThatClosesItsOutputIsEnded() throws IOException {
        start("import os, time\nos.close(1)\ntime.sleep(60)");
        Fakes.await("its end", () -> ends.size() == 1);
        assertEquals("it closed its standard output", ends.get(0));
    }

    @Test
    void killEndsAChildThatDoesNotRead() throws Exception {
        start("import time\ntime.sleep(60)");
        String big = "x".repeat(1_000_000);
        Thread sending = new Thread(() -> {
            try {
                transport.send(new CheckpointMessage(big, null, null));
                transport.send(new ShardEndedMessage());
            } catch (IOException e) {
                messages.add(new StatusMessage("broken pipe"));
            }
        });
        sending.start();
        transport.kill();
        sending.join(20_000);
        Fakes.await("its end", () -> ends.size() == 1 && messages.size() == 1);
        assertEquals("killed by the daemon", ends.get(0));
    }
}
