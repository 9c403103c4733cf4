"""Drives the genuine Azure IoT device SDK for Python; the contract is in ../README.md."""

import argparse
import json
import signal
import sys
import threading
import time

try:
    from azure.iot.device import IoTHubDeviceClient, Message, MethodResponse
except ImportError as missing:
    print(
        f"driver.py: the SDK is missing ({missing}); run: pip install -r simulator/real/python/requirements.txt",
        file=sys.stderr,
    )
    sys.exit(3)

FEATURES = ("twin", "methods", "c2d")
STARTED = time.monotonic()


def say(event, **more):
    """One line of the driver's own timeline."""
    print(json.dumps({"t": round(time.monotonic() - STARTED, 3), "event": event, **more}), flush=True)


def read_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connection-string", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--lifetime", type=int)
    parser.add_argument("--margin", help="not taken: this SDK always renews 120 s before expiry")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--heartbeat", type=float, default=0)
    parser.add_argument("--features", default="")
    options = parser.parse_args()
    if options.margin is not None:
        parser.error("--margin: this SDK always renews 120 s before expiry")
    options.features = [feature for feature in options.features.split(",") if feature]
    for feature in options.features:
        if feature not in FEATURES:
            parser.error(f"--features: {feature} is none of {', '.join(FEATURES)}")
    return options


def switch_on(client, features):
    """Setting a handler is what makes this SDK subscribe."""
    if "c2d" in features:
        client.on_message_received = lambda message: say("message", length=len(message.data))
    if "methods" in features:

        def answer(request):
            say("method", name=request.name)
            client.send_method_response(MethodResponse.create_from_method_request(request, 200, request.payload))

        client.on_method_request_received = answer
    if "twin" in features:
        twin = client.get_twin()
        say("twin", desiredVersion=twin["desired"].get("$version"))
        client.on_twin_desired_properties_patch_received = lambda patch: say("desired", version=patch.get("$version"))


def send_heartbeats(client, every, stop):
    """On the grid start + k * every; a send that waits for its connection does not hold up the next."""
    started = time.monotonic()
    number = 0

    def send(sequence):
        message = Message("")
        message.custom_properties["type"] = "heartbeat"
        message.custom_properties["sequence"] = str(sequence)
        try:
            client.send_message(message)
            say("sent", sequence=sequence)
        except Exception as problem:  # pylint: disable=broad-except
            say("error", during="send", sequence=sequence, message=str(problem))

    while not stop.wait(max(0.0, started + (number + 1) * every - time.monotonic())):
        number += 1
        threading.Thread(target=send, args=(number,), daemon=True).start()


def main():
    options = read_arguments()
    with open(options.ca, encoding="ascii") as file:
        authority = file.read()
    settings = {"server_verification_cert": authority}
    if options.lifetime is not None:
        settings["sastoken_ttl"] = options.lifetime
    client = IoTHubDeviceClient.create_from_connection_string(options.connection_string, **settings)
    client.on_connection_state_change = lambda: say("connected" if client.connected else "disconnected")
    client.on_background_exception = lambda problem: say("error", message=str(problem))
    client.on_new_sastoken_required = lambda: say("tokenRequired")

    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    client.connect()
    say("opened")
    switch_on(client, options.features)
    if options.heartbeat > 0:
        threading.Thread(target=send_heartbeats, args=(client, options.heartbeat, stop), daemon=True).start()
    stop.wait(options.seconds)
    stop.set()
    say("stopping")
    client.shutdown()
    say("closed")


if __name__ == "__main__":
    main()
