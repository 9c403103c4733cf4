'use strict';
// Drives the genuine Azure IoT device SDK for Node.js and says on standard output what it tells its application, one JSON
// object a line: {"t": seconds since the start, "event": "connected" | "renewed" | "sent" | "disconnected" | "error" | ...}.
// Nothing of the SDK is changed or stubbed; what the hub saw is in the hub's own Connections log, to be laid beside this.

const https = require('node:https');
const { parseArgs } = require('node:util');

const usage = 'usage: node driver.js --connection-string CS --ca FILE [--lifetime SECONDS] [--margin SECONDS] '
  + '[--seconds N] [--heartbeat SECONDS] [--features twin,methods,c2d] [--websocket-port N]';

function fail(message) {
  process.stderr.write(`driver.js: ${message}\n${usage}\n`);
  process.exit(2);
}

function readArguments() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        'connection-string': { type: 'string' },
        ca: { type: 'string' },
        lifetime: { type: 'string' },
        margin: { type: 'string' },
        seconds: { type: 'string', default: '60' },
        heartbeat: { type: 'string', default: '0' },
        features: { type: 'string', default: '' },
        'websocket-port': { type: 'string' },
      },
    }));
  } catch (error) {
    fail(error.message);
  }
  const number = (name) => {
    if (values[name] === undefined) { return undefined; }
    const value = Number(values[name]);
    return Number.isFinite(value) && value >= 0 ? value : fail(`--${name} is not a number`);
  };
  const port = number('websocket-port');
  if (port === 0 || port > 65535 || (port !== undefined && !Number.isInteger(port))) { fail('--websocket-port: allowed are 1 to 65535'); }
  const features = values.features.split(',').filter((feature) => feature !== '');
  for (const feature of features) {
    if (!['twin', 'methods', 'c2d'].includes(feature)) { fail(`--features: ${feature} is none of twin, methods, c2d`); }
  }
  if (!values['connection-string']) { fail('--connection-string is missing'); }
  if ((values.lifetime === undefined) !== (values.margin === undefined)) {
    fail('--lifetime and --margin belong together: the SDK takes both or neither');
  }
  return {
    connectionString: values['connection-string'],
    ca: values.ca,
    lifetime: number('lifetime'),
    margin: number('margin'),
    seconds: number('seconds'),
    heartbeat: number('heartbeat'),
    features,
    webSocketPort: port,
  };
}

function loadSdk() {
  try {
    const { Client, Message } = require('azure-iot-device');
    const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');
    return { Client, Message, Mqtt, MqttWs };
  } catch (error) {
    process.stderr.write(`driver.js: the SDK is missing (${error.code}); run: npm ci --prefix ${__dirname}\n`);
    process.exit(3);
  }
}

// MqttWs knows port 443 only. The agent it takes for proxies opens the connection, so that is where another port can be said.
class OtherPort extends https.Agent {
  constructor(port) {
    super();
    this.port = port;
  }

  createConnection(options, callback) {
    return super.createConnection({ ...options, port: this.port }, callback);
  }
}

const started = process.hrtime.bigint();

function say(event, more) {
  const t = Number((process.hrtime.bigint() - started) / 1000000n) / 1000;
  process.stdout.write(JSON.stringify({ t, event, ...more }) + '\n');
}

async function switchOn(client, features) {
  if (features.includes('c2d')) {
    client.on('message', (message) => {
      say('message', { length: message.getBytes().length });
      client.complete(message, () => {});
    });
  }
  if (features.includes('methods')) {
    client.onDeviceMethod('ping', (request, response) => {
      say('method', { name: request.methodName });
      response.send(200, request.payload ?? null, () => {});
    });
  }
  if (features.includes('twin')) {
    const twin = await client.getTwin();
    say('twin', { desiredVersion: twin.properties.desired.$version });
    twin.on('properties.desired', (delta) => say('desired', { version: delta.$version }));
  }
}

function sendHeartbeats(client, Message, everySeconds) {
  let sequence = 0;
  return setInterval(() => {
    const message = new Message('');
    const number = ++sequence;
    message.properties.add('type', 'heartbeat');
    message.properties.add('sequence', String(number));
    client.sendEvent(message, (error) => error
      ? say('error', { during: 'send', sequence: number, message: error.message })
      : say('sent', { sequence: number }));
  }, everySeconds * 1000);
}

async function main() {
  const options = readArguments();
  const { Client, Message, Mqtt, MqttWs } = loadSdk();

  const overWebSocket = options.webSocketPort !== undefined;
  const client = Client.fromConnectionString(options.connectionString, overWebSocket ? MqttWs : Mqtt);
  client.on('connect', () => say('connected'));
  client.on('disconnect', (result) => say('disconnected', { message: result?.transportObj?.message }));
  client.on('error', (error) => say('error', { message: error.message }));
  // Not a public event, but the SDK's own sign that its renewal timer fired; listening changes nothing.
  client._transport?._authenticationProvider?.on('newTokenAvailable', () => say('renewed'));

  const settings = {};
  if (options.ca) { settings.ca = options.ca; }
  if (options.lifetime !== undefined) {
    settings.tokenRenewal = {
      tokenValidTimeInSeconds: options.lifetime,
      tokenRenewalMarginInSeconds: options.margin,
    };
  }
  if (overWebSocket) { settings.mqtt = { webSocketAgent: new OtherPort(options.webSocketPort) }; }
  await client.setOptions(settings);
  await client.open();
  say('opened');
  await switchOn(client, options.features);
  const heartbeats = options.heartbeat > 0 ? sendHeartbeats(client, Message, options.heartbeat) : undefined;

  const stop = async () => {
    clearInterval(heartbeats);
    say('stopping');
    await client.close();
    say('closed');
    process.exit(0);
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  setTimeout(stop, options.seconds * 1000);
}

main().catch((error) => {
  say('error', { message: error.message, name: error.name });
  process.exit(1);
});
