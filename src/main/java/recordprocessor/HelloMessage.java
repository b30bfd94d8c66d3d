package recordprocessor;

import com.fasterxml.jackson.annotation.JsonTypeName;
import software.amazon.kinesis.multilang.messages.Message;

/** A worker's first frame: the secret that lets it in, the number under which it was asked for, its process. */
@JsonTypeName(HelloMessage.ACTION)
final class HelloMessage extends Message {
    static final String ACTION = "hello";

    private final String token;
    private final long worker;
    private final long pid;

    HelloMessage(String token, long worker, long pid) {
        this.token = token;
        this.worker = worker;
        this.pid = pid;
    }

    public String getToken() {
        return token;
    }

    public long getWorker() {
        return worker;
    }

    public long getPid() {
        return pid;
    }
}
