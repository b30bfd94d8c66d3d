package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.reflect.Proxy;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.ConditionalCheckFailedException;
import software.amazon.awssdk.services.dynamodb.model.DeleteItemRequest;
import software.amazon.awssdk.services.dynamodb.model.DeleteItemResponse;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;

class UnfinishedLeasesTest {
    private final AtomicReference<DeleteItemRequest> asked = new AtomicReference<>();
    private CompletableFuture<DeleteItemResponse> answer =
            CompletableFuture.completedFuture(DeleteItemResponse.builder().build());
    private final DynamoDbAsyncClient guarded = UnfinishedLeases.guarded(client(), "leases");

    private DynamoDbAsyncClient client() {
        return (DynamoDbAsyncClient) Proxy.newProxyInstance(
                getClass().getClassLoader(), new Class<?>[] {DynamoDbAsyncClient.class}, (proxy, method, arguments) -> {
                    if (method.getName().equals("serviceName")) {
                        throw new IllegalStateException("as the client throws it");
                    }
                    asked.set((DeleteItemRequest) arguments[0]);
                    return answer;
                });
    }

    private static DeleteItemRequest deletion(String table) {
        return DeleteItemRequest.builder()
                .tableName(table)
                .key(Map.of("leaseKey", AttributeValue.fromS("key")))
                .build();
    }

    @Test
    void aLeaseIsOnlyDeletedIfItsRowSaysShardEnd() {
        assertNotNull(guarded.deleteItem(deletion("leases")).join());
        assertEquals("checkpoint = :end", asked.get().conditionExpression());
        assertEquals(
                Map.of(":end", AttributeValue.fromS("SHARD_END")), asked.get().expressionAttributeValues());
        assertEquals(deletion("leases").key(), asked.get().key());
    }

    @Test
    void aLeaseThatIsKeptIsNoFailure() {
        answer = CompletableFuture.failedFuture(
                ConditionalCheckFailedException.builder().build());
        assertNotNull(guarded.deleteItem(deletion("leases")).join());
    }

    @Test
    void otherFailuresOtherTablesAndOtherCallsAreAsTheyWere() {
        answer = CompletableFuture.failedFuture(
                ResourceNotFoundException.builder().build());
        assertThrows(CompletionException.class, () -> guarded.deleteItem(deletion("leases"))
                .join());
        answer = CompletableFuture.completedFuture(DeleteItemResponse.builder().build());
        guarded.deleteItem(deletion("state")).join();
        assertNull(asked.get().conditionExpression());
        assertEquals(
                "as the client throws it",
                assertThrows(IllegalStateException.class, guarded::serviceName).getMessage());
    }
}
