// A receiver of the checker's webhooks in 50 lines of Node.js, without packages: an example and a test.
//
//   WEBHOOK_SECRET=whsec_… node receiver.mjs [port]
//
// It checks the signature over the bytes as they came, refuses what is more than five minutes old, answers a repetition without
// acting twice, and prints one line for each alarm. A real one keeps the ids it has seen for as long as the checker
// repeats (a day), and hands email.subject, email.text and email.html to whatever sends mail.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const key = Buffer.from((process.env.WEBHOOK_SECRET ?? "").replace(/^whsec_/, ""), "base64");
const seen = new Set();

function isOurs(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300)) {
    return false;
  }
  const mac = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  return (headers["webhook-signature"] ?? "").split(" ").some((signature) => {
    const claimed = Buffer.from(signature.replace(/^v1,/, ""), "base64");
    return signature.startsWith("v1,") && claimed.length === mac.length && timingSafeEqual(claimed, mac);
  });
}

const server = createServer((request, response) => {
  const chunks = [];
  let size = 0;
  request.on("data", (chunk) => {
    size += chunk.length;
    if (size > 65536) {
      request.destroy();
    } else {
      chunks.push(chunk);
    }
  });
  request.on("end", () => {
    const body = Buffer.concat(chunks);
    if (!isOurs(request.headers, body)) {
      response.writeHead(401).end();
      return;
    }
    const id = request.headers["webhook-id"];
    console.log(`${seen.has(id) ? "again" : "first"} ${id}: ${JSON.parse(body).email.subject}`);
    seen.add(id);
    response.writeHead(204).end();
  });
});

server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
