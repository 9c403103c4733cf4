'use strict';
// azure-iothub always dials port 443: it takes the whole HostName for a name, and knows no GatewayHostName. Loaded before a
// program, this makes every HTTPS agent of the process default to another port, and changes nothing of the SDK or the program:
//   HUB_HTTPS_PORT=8443 node --require ./https-port.js program.js
// A hub on port 443 itself needs none of it.

const https = require('node:https');

const port = Number(process.env.HUB_HTTPS_PORT);
if (!Number.isInteger(port) || port < 1 || port > 65535) {
  process.stderr.write('https-port.js: HUB_HTTPS_PORT is not a port from 1 to 65535\n');
  process.exit(2);
}

// Each agent sets its own default to 443 when it is made; that setting must find this and not make a property of its own.
Object.defineProperty(https.Agent.prototype, 'defaultPort', { get: () => port, set: () => {} });
https.globalAgent = new https.Agent({ keepAlive: true, timeout: 5000 });
