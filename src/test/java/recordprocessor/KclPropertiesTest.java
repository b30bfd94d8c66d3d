package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.beans.IntrospectionException;
import java.beans.Introspector;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import software.amazon.kinesis.multilang.config.MultiLangDaemonConfiguration;

/** The schema in record_processor/settings.py knows every property that KCL's own daemon knows. */
class KclPropertiesTest {
    @Test
    void everyPropertyOfKclIsSupportedOrRefusedWithAReason() throws IOException, IntrospectionException {
        Process python = new ProcessBuilder("python3", "-m", "record_processor.settings_reference", "kcl-names")
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        Set<String> ours = new String(python.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
                .lines()
                .collect(Collectors.toSet());
        Set<String> missing = new TreeSet<>(kclNames());
        missing.removeAll(ours);
        assertEquals(Set.of(), missing, "properties of KCL that settings.py does not know");
    }

    private static Set<String> kclNames() throws IntrospectionException {
        return Arrays.stream(Introspector.getBeanInfo(MultiLangDaemonConfiguration.class)
                        .getMethodDescriptors())
                .map(descriptor -> descriptor.getMethod())
                .filter(method -> method.getParameterCount() == 1)
                .map(Method::getName)
                .filter(name -> name.startsWith("set"))
                .map(name -> Introspector.decapitalize(name.substring(3)))
                .collect(Collectors.toCollection(TreeSet::new));
    }
}
