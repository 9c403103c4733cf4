// Drives the genuine Azure IoT device SDK for Java over MQTT; the contract is in ../README.md. The SDK can dial no other port
// than 8883 and wants a dot in the hub's name, so the connection string must say 127.0.0.1 and not localhost.

import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.IotHubMessageResult;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.device.twin.Twin;
import java.io.FileInputStream;
import java.io.InputStream;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public final class Driver {
    private static final long STARTED = System.nanoTime();
    private static final List<String> NAMES = Arrays.asList(
        "--connection-string", "--ca", "--lifetime", "--seconds", "--heartbeat", "--features");
    private static final List<String> FEATURES = Arrays.asList("twin", "methods", "c2d");

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = read(arguments);
        ClientOptions.ClientOptionsBuilder settings = ClientOptions.builder().sslContext(trust(options.get("--ca")));
        if (options.containsKey("--lifetime")) {
            settings.sasTokenExpiryTime(Long.parseLong(options.get("--lifetime")));
        }

        DeviceClient client = new DeviceClient(
            options.get("--connection-string"), IotHubClientProtocol.MQTT, settings.build());
        client.setConnectionStatusChangeCallback(
            change -> say("status", "status", String.valueOf(change.getNewStatus()),
                "reason", String.valueOf(change.getNewStatusReason())),
            null);
        List<String> features = Arrays.asList(options.getOrDefault("--features", "").split(","));
        if (features.contains("c2d")) {
            client.setMessageCallback(
                (message, context) -> {
                    say("message");
                    return IotHubMessageResult.COMPLETE;
                },
                null);
        }

        client.open(false);
        say("opened");
        switchOn(client, features);
        ScheduledExecutorService heartbeats = sendHeartbeats(
            client, Double.parseDouble(options.getOrDefault("--heartbeat", "0")));
        CountDownLatch stop = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(stop::countDown));
        long millis = (long) (1000 * Double.parseDouble(options.getOrDefault("--seconds", "60")));
        stop.await(millis, TimeUnit.MILLISECONDS);
        heartbeats.shutdownNow();
        say("stopping");
        client.close();
        say("closed");
    }

    private static void switchOn(DeviceClient client, List<String> features) throws Exception {
        if (features.contains("methods")) {
            client.subscribeToMethods(
                (name, payload, context) -> {
                    say("method", "name", name);
                    return new DirectMethodResponse(200, null);
                },
                null);
        }

        if (features.contains("twin")) {
            client.subscribeToDesiredProperties((twin, context) -> say("desired"), null);
            Twin twin = client.getTwin();
            say("twin", "desiredVersion", String.valueOf(twin.getDesiredProperties().getVersion()));
        }
    }

    private static ScheduledExecutorService sendHeartbeats(DeviceClient client, double everySeconds) {
        ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
        AtomicInteger sequence = new AtomicInteger();
        if (everySeconds > 0) {
            long everyMillis = (long) (everySeconds * 1000);
            timer.scheduleAtFixedRate(() -> send(client, sequence.incrementAndGet()), everyMillis, everyMillis, TimeUnit.MILLISECONDS);
        }

        return timer;
    }

    private static void send(DeviceClient client, int number) {
        try {
            Message message = new Message(new byte[0]);
            message.setProperty("type", "heartbeat");
            message.setProperty("sequence", String.valueOf(number));
            client.sendEventAsync(
                message,
                (sent, problem, context) -> {
                    if (problem == null) {
                        say("sent", "sequence", String.valueOf(number));
                    } else {
                        say("error", "during", "send", "message", String.valueOf(problem.getMessage()));
                    }
                },
                null);
        } catch (RuntimeException problem) {
            say("error", "during", "send", "message", String.valueOf(problem.getMessage()));
        }
    }

    private static SSLContext trust(String path) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (InputStream file = new FileInputStream(path)) {
            for (Certificate authority : CertificateFactory.getInstance("X.509").generateCertificates(file)) {
                store.setCertificateEntry("authority-" + store.size(), authority);
            }
        }

        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    private static Map<String, String> read(String[] arguments) {
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i], arguments[i + 1]);
        }

        boolean known = arguments.length % 2 == 0 && NAMES.containsAll(options.keySet())
            && options.containsKey("--connection-string") && options.containsKey("--ca");
        for (String feature : options.getOrDefault("--features", "").split(",")) {
            known &= feature.isEmpty() || FEATURES.contains(feature);
        }

        if (!known) {
            System.err.println("Driver: bad arguments; see simulator/real/README.md (--margin is not taken: no renewal on MQTT)");
            System.exit(2);
        }

        return options;
    }

    private static synchronized void say(String event, String... more) {
        StringBuilder line = new StringBuilder(String.format(
            Locale.ROOT, "{\"t\":%.3f,\"event\":\"%s\"", (System.nanoTime() - STARTED) / 1e9, event));
        for (int i = 0; i + 1 < more.length; i += 2) {
            String value = more[i + 1].replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\p{Cntrl}", " ");
            line.append(",\"").append(more[i]).append("\":\"").append(value).append('"');
        }

        System.out.println(line.append('}'));
    }
}
