'use strict';
// One life of a device, told to a hub by the genuine SDKs: azure-iothub is the service, azure-iot-device the device, both
// unmodified. Each step asserts and then says so on standard output, one JSON object a line: {"t": seconds, "step": NAME, ...};
// the first that fails says {"failed": NAME, "message": ...} and ends the program with 1.
//
// azure-iothub sends cloud-to-device messages and reads their feedback over AMQP, which the local hub does not speak: those
// two go through the hub's HTTPS routes here, with a token that azure-iothub makes. So does PUT of a twin, which it has not.

const assert = require('node:assert/strict');
const https = require('node:https');
const { parseArgs } = require('node:util');

const usage = 'usage: node conformance.js --connection-string CS --gateway HOST:PORT --http https://HOST:PORT '
  + '(the CA in NODE_EXTRA_CA_CERTS; HUB_HTTPS_PORT and --require https-port.js where the port is not 443)';
const apiVersion = 'api-version=2021-04-12';
const giveUp = { shouldRetry: () => false, nextRetryTimeout: () => 0 };
const started = Date.now();

function readArguments() {
  try {
    const { values } = parseArgs({
      options: { 'connection-string': { type: 'string' }, gateway: { type: 'string' }, http: { type: 'string' } },
    });
    assert(values['connection-string'] && values.gateway && values.http, 'an argument is missing');
    return { connectionString: values['connection-string'], gateway: values.gateway, http: values.http };
  } catch (error) {
    process.stderr.write(`conformance.js: ${error.message}\n${usage}\n`);
    return process.exit(2);
  }
}

function loadSdks() {
  try {
    const { Client, Message } = require('azure-iot-device');
    const { Mqtt } = require('azure-iot-device-mqtt');
    return { Client, Message, Mqtt, service: require('azure-iothub') };
  } catch (error) {
    process.stderr.write(`conformance.js: an SDK is missing (${error.code}); run: npm ci --prefix ${__dirname}\n`);
    return process.exit(3);
  }
}

function say(line) {
  process.stdout.write(JSON.stringify({ t: (Date.now() - started) / 1000, ...line }) + '\n');
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function eventually(what, seconds, attempt) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(100)) {
    const result = await attempt();
    if (result) { return result; }
  }
  throw new Error(`${what} did not come within ${seconds} s`);
}

// The named event once; a promise to be awaited after what causes it.
function once(emitter, name, seconds = 15) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no '${name}' within ${seconds} s`)), seconds * 1000);
    emitter.once(name, (...values) => { clearTimeout(timer); resolve(values); });
  });
}

async function rejects(promise, name) {
  const error = await promise.then(() => null, (reason) => reason);
  assert(error, `expected ${name}, but it succeeded`);
  assert.equal(error.name, name, `${error.name}: ${error.message}`);
  return error;
}

class Run {
  constructor(options, sdks) {
    this.options = options;
    this.sdks = sdks;
    this.registry = sdks.service.Registry.fromConnectionString(options.connectionString);
    this.service = sdks.service.Client.fromConnectionString(options.connectionString);
    this.service.setRetryPolicy(giveUp);
    this.fields = Object.fromEntries(options.connectionString.split(';').map((part) => {
      const at = part.indexOf('=');
      return [part.slice(0, at), part.slice(at + 1)];
    }));
    this.clients = [];
  }

  // A request of our own, with the service's token.
  ask(method, path, { body, headers = {} } = {}) {
    const token = this.sdks.service.SharedAccessSignature.create(
      this.fields.HostName, this.fields.SharedAccessKeyName, this.fields.SharedAccessKey, Math.ceil(Date.now() / 1000) + 60);
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const request = https.request(new URL(path, this.options.http), {
        method,
        headers: { Authorization: token.toString(), ...(text ? { 'Content-Type': 'application/json' } : {}), ...headers },
      }, (response) => {
        let answer = '';
        response.setEncoding('utf8').on('data', (chunk) => { answer += chunk; });
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: answer }));
      });
      request.on('error', reject).end(text);
    });
  }

  // A device client that does not come back by itself, so that each end of a connection can be seen.
  client(identity, settings) {
    const { Client, Mqtt } = this.sdks;
    const client = Client.fromConnectionString(
      `HostName=${this.fields.HostName};DeviceId=${identity.deviceId};`
      + `SharedAccessKey=${identity.authentication.symmetricKey.primaryKey};GatewayHostName=${this.options.gateway}`, Mqtt);
    client.setRetryPolicy(giveUp);
    client.on('error', () => {});
    this.clients.push(client);
    return client.setOptions({ ...settings }).then(() => client);
  }

  async telemetryOf(id) {
    const answer = await this.ask('GET', `/local/telemetry?device=${id}`);
    const list = JSON.parse(answer.body);
    return Array.isArray(list) ? list : list.messages;
  }

  async closeAll() {
    await Promise.all(this.clients.map((client) => Promise.race([client.close().catch(() => {}), pause(2000)])));
  }
}

const steps = {
  async identities(run) {
    const { registry } = run;
    const made = (await registry.create({ deviceId: 'conformance' })).responseBody;
    assert(made.etag && made.generationId && made.authentication.symmetricKey.primaryKey);
    assert.equal(made.status, 'enabled');
    assert.equal(made.connectionState, 'Disconnected');
    await rejects(registry.create({ deviceId: 'conformance' }), 'DeviceAlreadyExistsError');
    await rejects(registry.get('nobody'), 'DeviceNotFoundError');

    const read = (await registry.get('conformance')).responseBody;
    assert.deepEqual(read.authentication, made.authentication);
    const changed = (await registry.update({ ...read, statusReason: 'on trial' })).responseBody;
    assert.notEqual(changed.etag, made.etag);
    assert.equal(changed.statusReason, 'on trial');
    assert.deepEqual(changed.authentication, made.authentication);

    const rows = [1, 2, 3].map((number) => ({ deviceId: `bulk-${number}` }));
    assert.equal((await registry.addDevices(rows)).responseBody.isSuccessful, true);
    const listed = (await registry.list()).responseBody.map((device) => device.deviceId);
    assert(['conformance', 'bulk-1', 'bulk-2', 'bulk-3'].every((id) => listed.includes(id)), listed.join());
    const bulk = (await registry.get('bulk-1')).responseBody;
    await registry.update(bulk);
    await rejects(registry.updateDevices([bulk], false), 'ArgumentError'); // Its etag is out of date.
    assert.equal((await registry.updateDevices([bulk], true)).responseBody.isSuccessful, true);
    assert.equal((await registry.removeDevices(rows, true)).responseBody.isSuccessful, true);
    await rejects(registry.get('bulk-1'), 'DeviceNotFoundError');
    const counts = (await registry.getRegistryStatistics()).responseBody;
    assert.equal(counts.totalDeviceCount, counts.enabledDeviceCount + counts.disabledDeviceCount);
    run.identity = changed;
    run.renewing = (await registry.create({ deviceId: 'renewing' })).responseBody;
  },

  async modules({ registry }) {
    const made = (await registry.addModule({ deviceId: 'conformance', moduleId: 'pump' })).responseBody;
    assert(made.etag && made.authentication.symmetricKey.primaryKey);
    const changed = (await registry.updateModule({ ...made, managedBy: 'somebody' })).responseBody;
    assert.equal(changed.managedBy, 'somebody');
    await rejects(registry.updateModule(made), 'InvalidEtagError');
    const listed = (await registry.getModulesOnDevice('conformance')).responseBody;
    assert.deepEqual(listed.map((module) => module.moduleId), ['pump']);
    const twin = (await registry.getModuleTwin('conformance', 'pump')).responseBody;
    assert.equal(twin.moduleId, 'pump');
    await registry.removeModule('conformance', 'pump');
    await assert.rejects(registry.getModule('conformance', 'pump'));
  },

  async connect(run) {
    // Started here, looked at in the step named after it: three renewals take their time.
    run.renewal = await run.client(run.renewing, { tokenRenewal: { tokenValidTimeInSeconds: 9, tokenRenewalMarginInSeconds: 6 } });
    run.renewals = 0;
    run.renewalLosses = 0;
    // Not a public event, but the SDK's own sign that its renewal timer fired; listening changes nothing.
    run.renewal._transport._authenticationProvider.on('newTokenAvailable', () => { run.renewals++; });
    run.renewal.on('disconnect', () => { run.renewalLosses++; });
    await run.renewal.open();

    run.device = await run.client(run.identity);
    await run.device.open();
    // Not connectionState: the cloud, and so the hub, may show that five minutes late.
    await eventually('two connections', 5, async () =>
      JSON.parse((await run.ask('GET', `/statistics/service?${apiVersion}`)).body).connectedDeviceCount === 2);
  },

  async telemetry(run) {
    const message = new run.sdks.Message(JSON.stringify({ temperature: 21 }));
    message.contentType = 'application/json';
    message.contentEncoding = 'utf-8';
    message.messageId = 'd2c-1';
    message.properties.add('kind', 'heartbeat & more');
    await run.device.sendEvent(message);
    const seen = await eventually('the message', 5, async () => (await run.telemetryOf('conformance'))[0]);
    assert.equal(seen.deviceId, 'conformance');
    assert.equal(seen.properties.kind, 'heartbeat & more');
    return { seen };
  },

  async commands(run) {
    const send = (body) => run.ask('POST', '/local/devices/conformance/messages/devicebound', { body });
    const arrival = new Promise((resolve) => { run.device.on('message', resolve); });
    const sent = await send({ body: 'open', messageId: 'c2d-1', ack: 'full', properties: { valve: '7' } });
    assert.equal(sent.status, 200, sent.body);
    const message = await arrival;
    assert.equal(message.messageId, 'c2d-1');
    assert.equal(message.getData().toString(), 'open');
    assert.equal(message.properties.getValue('valve'), '7');
    await run.device.complete(message);

    // This device never subscribes to messages: one is purged, and one expires.
    const elsewhere = (body) => run.ask('POST', '/local/devices/renewing/messages/devicebound', { body });
    assert.equal((await elsewhere({ body: 'x', messageId: 'c2d-2' })).status, 200);
    const purged = await run.ask('DELETE', `/devices/renewing/commands?${apiVersion}`);
    assert.equal(JSON.parse(purged.body).totalMessagesPurged, 1);
    assert.equal((await elsewhere({ body: 'x', messageId: 'c2d-3', ack: 'negative', timeToLiveSeconds: 1 })).status, 200);
    const unknown = await run.ask('POST', '/local/devices/nobody/messages/devicebound', { body: { body: 'x' } });
    assert.equal(unknown.headers['iothub-errorcode'], 'DeviceNotFound');
  },

  async twinFromDevice(run) {
    run.twin = await run.device.getTwin();
    await new Promise((resolve, reject) => {
      run.twin.properties.reported.update({ firmware: { version: '1.2' } }, (error) => (error ? reject(error) : resolve()));
    });
    const twin = (await run.registry.getTwin('conformance')).responseBody;
    assert.equal(twin.properties.reported.firmware.version, '1.2');
    assert.equal(twin.properties.reported.$version, 2);
  },

  async twinFromService(run) {
    const { registry } = run;
    const twin = (await registry.getTwin('conformance')).responseBody;
    const notice = once(run.twin, 'properties.desired');
    const changed = (await registry.updateTwin(
      'conformance', { tags: { site: 'mill' }, properties: { desired: { interval: 5 } } }, twin.etag)).responseBody;
    assert.equal(changed.tags.site, 'mill');
    await notice; // The first one is what the twin already had.
    await eventually('the desired property', 5, async () => run.twin.properties.desired.interval === 5);
    assert.equal(run.twin.properties.desired.$version, changed.properties.desired.$version);
    await rejects(registry.updateTwin('conformance', { tags: { site: 'other' } }, twin.etag), 'InvalidEtagError');

    const replaced = await run.ask('PUT', `/twins/conformance?${apiVersion}`, {
      body: { properties: { desired: { speed: 3 } } }, headers: { 'If-Match': '*' },
    });
    assert.equal(replaced.status, 200, replaced.body);
    await eventually('the replaced properties', 5, async () =>
      run.twin.properties.desired.speed === 3 && run.twin.properties.desired.interval === undefined);
    await rejects(registry.getTwin('nobody'), 'DeviceNotFoundError');
  },

  async query({ registry }) {
    await registry.updateTwin('renewing', { tags: { site: 'mill' } }, '*');
    const found = [];
    const query = registry.createQuery("SELECT * FROM devices WHERE tags.site = 'mill'", 1);
    let pages = 0;
    for (; query.hasMoreResults && pages < 10; pages++) {
      found.push(...(await query.nextAsTwin()).result.map((twin) => twin.deviceId));
    }
    assert.deepEqual(found.sort(), ['conformance', 'renewing']);
    assert.equal(pages, 2);
    await rejects(registry.createQuery('SELECT nothing').next(), 'ArgumentError');
  },

  async methods(run) {
    run.device.onDeviceMethod('double', (request, response) => {
      response.send(200, { doubled: request.payload.value * 2 }, () => {});
    });
    run.device.onDeviceMethod('silent', () => {});
    const call = (id, methodName, payload) => run.service.invokeDeviceMethod(id, { methodName, payload, responseTimeoutInSeconds: 5 });
    // The subscription is under way when onDeviceMethod returns.
    const { result } = await eventually('an answer', 10, () => call('conformance', 'double', { value: 21 }).catch(() => null));
    assert.equal(result.status, 200);
    assert.deepEqual(result.payload, { doubled: 42 });
    await rejects(call('conformance', 'silent', null), 'GatewayTimeoutError');
    const offline = await call('renewing', 'double', null).then(() => null, (error) => error);
    assert.equal(offline.response.headers['iothub-errorcode'], 'DeviceNotOnline');
  },

  async renewals(run) {
    await eventually('the third renewal', 15, async () => run.renewals >= 3);
    await run.renewal.sendEvent(new run.sdks.Message('still here'));
    assert.equal(run.renewalLosses, 0);
    await run.renewal.close();
    return { renewals: run.renewals };
  },

  async feedback(run) {
    const path = `/messages/serviceBound/feedback?${apiVersion}`;
    const lockOf = (answer) => answer.headers.etag.replaceAll('"', '');
    const receive = () => eventually('feedback', 30, async () => {
      const answer = await run.ask('GET', path);
      return answer.status === 200 ? answer : null;
    });
    const first = await receive();
    assert.equal(first.headers['content-type'], 'application/vnd.microsoft.iothub.feedback.json');
    assert.equal((await run.ask('POST', `/messages/servicebound/feedback/${lockOf(first)}/abandon?${apiVersion}`)).status, 204);

    const records = [];
    while (records.length < 2) {
      const batch = await receive();
      records.push(...JSON.parse(batch.body));
      const complete = `/messages/serviceBound/feedback/${lockOf(batch)}?${apiVersion}`;
      assert.equal((await run.ask('DELETE', complete)).status, 204);
      assert.equal((await run.ask('DELETE', complete)).headers['iothub-errorcode'], 'DeviceMessageLockLost');
    }
    assert.deepEqual(records.map((record) => `${record.originalMessageId} ${record.statusCode} ${record.deviceId}`).sort(),
      ['c2d-1 Success conformance', 'c2d-3 Expired renewing']);
    const success = records.find((record) => record.originalMessageId === 'c2d-1');
    assert.equal(success.deviceGenerationId, run.identity.generationId);
  },

  async takeover(run) {
    const loss = once(run.device, 'disconnect');
    run.second = await run.client(run.identity);
    await run.second.open();
    await loss;
    await run.second.sendEvent(new run.sdks.Message('mine now'));
  },

  async disabled(run) {
    const loss = once(run.second, 'disconnect');
    const identity = (await run.registry.get('conformance')).responseBody;
    const disabled = (await run.registry.update({ ...identity, status: 'disabled', statusReason: 'stolen' })).responseBody;
    assert.equal(disabled.status, 'disabled');
    await loss;
    await assert.rejects((await run.client(run.identity)).open());
    assert.equal((await run.registry.getTwin('conformance')).responseBody.status, 'disabled');

    await run.registry.update({ ...disabled, status: 'enabled' });
    run.third = await run.client(run.identity);
    await run.third.open();
    await run.third.sendEvent(new run.sdks.Message('back'));
  },

  async deleted(run) {
    const loss = once(run.third, 'disconnect');
    await run.registry.delete('conformance');
    await loss;
    await assert.rejects((await run.client(run.identity)).open());
    await rejects(run.registry.get('conformance'), 'DeviceNotFoundError');
    await rejects(run.registry.getTwin('conformance'), 'DeviceNotFoundError');
    const anew = (await run.registry.create({ deviceId: 'conformance' })).responseBody;
    assert.notEqual(anew.generationId, run.identity.generationId);
    const twin = (await run.registry.getTwin('conformance')).responseBody;
    assert.equal(twin.properties.reported.firmware, undefined);
  },
};

async function main() {
  const run = new Run(readArguments(), loadSdks());
  for (const [name, step] of Object.entries(steps)) {
    try {
      say({ step: name, ...(await step(run)) });
    } catch (error) {
      say({ failed: name, message: error.message, name: error.name });
      process.exitCode = 1;
      break;
    }
  }
  await run.closeAll();
  process.exit(process.exitCode ?? 0);
}

main();
