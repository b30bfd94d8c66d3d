package recordprocessor;

import software.amazon.awssdk.core.SdkRequest;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.services.dynamodb.model.DescribeStreamRequest;
import software.amazon.awssdk.services.dynamodb.model.GetShardIteratorRequest;

/**
 * DynamoDB Local puts the region {@code ddblocal} into its stream ARNs, which the adapter refuses. Inside the daemon
 * such a stream has the region {@value #STAND_IN}; here its own name is put back on the way out.
 */
final class LocalArns implements ExecutionInterceptor {
    private static final String LOCAL = ":dynamodb:ddblocal:000000000000:";
    /** A real region, and an account that no AWS customer has, so that no real stream can be mistaken for it. */
    private static final String STAND_IN = ":dynamodb:us-east-1:000000000000:";

    static String inside(String streamArn) {
        return streamArn.replace(LOCAL, STAND_IN);
    }

    static String outside(String streamArn) {
        return streamArn.replace(STAND_IN, LOCAL);
    }

    @Override
    public SdkRequest modifyRequest(Context.ModifyRequest context, ExecutionAttributes attributes) {
        if (context.request() instanceof DescribeStreamRequest request) {
            return request.toBuilder().streamArn(outside(request.streamArn())).build();
        }
        if (context.request() instanceof GetShardIteratorRequest request) {
            return request.toBuilder().streamArn(outside(request.streamArn())).build();
        }
        return context.request();
    }
}
