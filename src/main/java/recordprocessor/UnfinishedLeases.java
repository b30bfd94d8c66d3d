package recordprocessor;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.ConditionalCheckFailedException;
import software.amazon.awssdk.services.dynamodb.model.DeleteItemRequest;
import software.amazon.awssdk.services.dynamodb.model.DeleteItemResponse;
import software.amazon.kinesis.retrieval.kpl.ExtendedSequenceNumber;

/**
 * Keeps leases of shards that are not read to their ends from being deleted, whatever KCL or the adapter think of them.
 *
 * <p>The adapter deletes the lease of every shard that a list of shards lacks; with the lease goes the checkpoint, and
 * nobody would ever know what was not read. So a lease is only deleted if its row says SHARD_END, and the client says
 * that it was, either way: the rest of a shard sync must go on.
 */
final class UnfinishedLeases {
    private static final Logger log = LoggerFactory.getLogger(UnfinishedLeases.class);

    private final DynamoDbAsyncClient dynamoDB;
    private final String leaseTable;

    private UnfinishedLeases(DynamoDbAsyncClient dynamoDB, String leaseTable) {
        this.dynamoDB = dynamoDB;
        this.leaseTable = leaseTable;
    }

    /** The same client, but for deletions from the lease table. */
    static DynamoDbAsyncClient guarded(DynamoDbAsyncClient dynamoDB, String leaseTable) {
        UnfinishedLeases guard = new UnfinishedLeases(dynamoDB, leaseTable);
        return (DynamoDbAsyncClient) Proxy.newProxyInstance(
                UnfinishedLeases.class.getClassLoader(),
                new Class<?>[] {DynamoDbAsyncClient.class},
                (proxy, method, arguments) -> guard.call(method, arguments));
    }

    /** What it returns goes to the caller of the proxy. */
    @SuppressWarnings("FutureReturnValueIgnored")
    private Object call(Method method, Object[] arguments) throws Throwable {
        if (method.getName().equals("deleteItem")
                && arguments[0] instanceof DeleteItemRequest request
                && request.tableName().equals(leaseTable)) {
            return delete(request);
        }
        try {
            return method.invoke(dynamoDB, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    private CompletableFuture<DeleteItemResponse> delete(DeleteItemRequest request) {
        DeleteItemRequest ifFinished = request.toBuilder()
                .conditionExpression("checkpoint = :end")
                .expressionAttributeValues(
                        Map.of(":end", AttributeValue.fromS(ExtendedSequenceNumber.SHARD_END.sequenceNumber())))
                .build();
        return dynamoDB.deleteItem(ifFinished).exceptionally(failure -> {
            if (!(Errors.cause(failure) instanceof ConditionalCheckFailedException)) {
                throw failure instanceof CompletionException e ? e : new CompletionException(failure);
            }
            log.debug("the lease {} is kept: its shard is not read to its end", request.key());
            return DeleteItemResponse.builder().build();
        });
    }
}
