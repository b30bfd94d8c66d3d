package recordprocessor;

import java.util.concurrent.Callable;
import software.amazon.awssdk.awscore.exception.AwsServiceException;

/** An AWS call that must work before anything is read: tried for a while if AWS is busy, else one clear line. */
final class StartCall {
    private static final long PATIENCE_MILLIS = 30_000;
    private static final long MAX_BACKOFF_MILLIS = 3_000;

    private StartCall() {}

    /**
     * Makes the call.
     *
     * @param action the IAM action, such as {@code dynamodb:DescribeTable}
     * @param resource the ARN or name that it is called on
     */
    static <T> T of(String action, String resource, Callable<T> call) {
        long deadline = System.currentTimeMillis() + PATIENCE_MILLIS;
        for (int failures = 0; ; failures++) {
            try {
                return call.call();
            } catch (StartException e) {
                throw e;
            } catch (Exception e) {
                if (!isBusy(Errors.cause(e)) || System.currentTimeMillis() > deadline) {
                    throw Errors.atStart(action, resource, e);
                }
            }
            Pause.millis(Pause.backoffMillis(failures, MAX_BACKOFF_MILLIS));
        }
    }

    private static boolean isBusy(Throwable e) {
        return e instanceof AwsServiceException aws && (aws.isThrottlingException() || aws.statusCode() >= 500);
    }
}
