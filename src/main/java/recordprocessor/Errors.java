package recordprocessor;

import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.exception.SdkClientException;

/** Turns what went wrong into one line that says what, where and how to mend it. */
final class Errors {
    private static final Pattern DENIED =
            Pattern.compile("not authorized to perform: (?<action>\\S+) on resource: (?<resource>\\S+)");

    private Errors() {}

    /** The exception that matters: what AWS said, if it did; else the first that is no mere wrapper of a future. */
    static Throwable cause(Throwable e) {
        for (Throwable found = e; found != null; found = found.getCause()) {
            if (found instanceof AwsServiceException) {
                return found;
            }
        }
        Throwable found = e;
        while ((found instanceof CompletionException || found instanceof ExecutionException)
                && found.getCause() != null) {
            found = found.getCause();
        }
        return found;
    }

    static String oneLine(Throwable e) {
        Throwable found = cause(e);
        String message = found instanceof AwsServiceException aws && aws.awsErrorDetails() != null
                ? aws.awsErrorDetails().errorCode() + ": "
                        + aws.awsErrorDetails().errorMessage()
                : found.getClass().getSimpleName() + (found.getMessage() == null ? "" : ": " + found.getMessage());
        return message.replaceAll("\\s+", " ");
    }

    /**
     * An AWS call that had to work at the start failed.
     *
     * @param action the IAM action, such as {@code dynamodb:DescribeTable}
     * @param resource the ARN or name that it was called on
     */
    static StartException atStart(String action, String resource, Throwable e) {
        Throwable found = cause(e);
        String where = action + " on " + resource;
        if (found instanceof AwsServiceException aws && isDenied(aws)) {
            return StartException.couldNotStart(
                    "access denied: " + denied(aws, where) + "; allow it in the role's IAM policy", e);
        }
        if (found instanceof AwsServiceException aws && isCredentials(aws)) {
            return StartException.couldNotStart("AWS refused the credentials at " + where + ": " + oneLine(found), e);
        }
        if (found instanceof SdkClientException) {
            return StartException.couldNotStart(
                    "cannot reach AWS for " + where + "; check regionName, dynamoDBEndpoint and the network ("
                            + oneLine(found) + ")",
                    e);
        }
        return StartException.couldNotStart(where + " failed: " + oneLine(found), e);
    }

    /** AWS names the action and the resource itself; it may be another call than the one we know of. */
    static String denied(Throwable e, String otherwise) {
        Matcher matcher = DENIED.matcher(oneLine(e));
        return matcher.find() ? matcher.group("action") + " on " + matcher.group("resource") : otherwise;
    }

    static boolean isDenied(Throwable e) {
        return cause(e) instanceof AwsServiceException aws
                && aws.awsErrorDetails() != null
                && "AccessDeniedException".equals(aws.awsErrorDetails().errorCode());
    }

    private static boolean isCredentials(AwsServiceException e) {
        String code = e.awsErrorDetails() == null
                ? ""
                : String.valueOf(e.awsErrorDetails().errorCode());
        return switch (code) {
            case "UnrecognizedClientException",
                    "ExpiredTokenException",
                    "InvalidSignatureException",
                    "MissingAuthenticationTokenException",
                    "InvalidClientTokenId",
                    "ExpiredToken" -> true;
            default -> false;
        };
    }
}
