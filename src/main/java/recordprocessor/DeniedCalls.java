package recordprocessor;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.interceptor.SdkExecutionAttribute;

/**
 * Names the IAM action and the resource of each call that AWS denies while the daemon runs, whoever made it, at most
 * once a minute. Before that a denied call ends the daemon, with the same words: see {@link StartCall}.
 */
final class DeniedCalls implements ExecutionInterceptor {
    private static final Logger log = LoggerFactory.getLogger(DeniedCalls.class);

    private final OncePerMinute minute = new OncePerMinute();
    private volatile boolean running;

    /** From now on there is nobody else to say it. */
    void start() {
        running = true;
    }

    @Override
    public void onExecutionFailure(Context.FailedExecution context, ExecutionAttributes attributes) {
        if (running && Errors.isDenied(context.exception())) {
            String denied = Errors.denied(
                    context.exception(), "dynamodb:" + attributes.getAttribute(SdkExecutionAttribute.OPERATION_NAME));
            if (minute.isDue(denied)) {
                log.warn("access denied: {}; allow it in the role's IAM policy; it is tried again", denied);
            }
        }
    }
}
