// Server-sent events over fetch, because EventSource cannot send the key in a header and an address is no place for a secret.
// The reading is the standard's: lines end in CR, LF or both; an empty line ends an event; a line that begins with a colon is a comment.

const QUIET_MS = 40_000; // The service sends a comment every 15 s; after this long the stream is dead, whatever TCP thinks.
const RETRY_MS = 2_000;

/** Reads until told to stop, and comes back with the last id it saw. onState is told 'live', 'key' or 'lost'. */
export async function listen(headers, onEvent, onState) {
  let lastId = '';
  for (;;) {
    const quiet = new AbortController();
    let timer = setTimeout(() => quiet.abort(), QUIET_MS);
    try {
      const answer = await fetch('live', {
        headers: { ...headers(), ...(lastId && { 'Last-Event-ID': lastId }) }, signal: quiet.signal, cache: 'no-store',
      });
      if (answer.status === 401) {
        onState('key');
        return;
      }
      if (answer.ok) {
        onState('live');
        const parse = parser(event => { lastId = event.id || lastId; onEvent(event); });
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
          clearTimeout(timer);
          timer = setTimeout(() => quiet.abort(), QUIET_MS);
          parse(part.value);
        }
      }
    } catch {
      // The service is gone, or the network; which of the two makes no difference here.
    } finally {
      clearTimeout(timer);
    }
    onState('lost');
    await new Promise(done => setTimeout(done, RETRY_MS));
  }
}

/** A function that takes text as it comes and calls onEvent for every whole event. */
export function parser(onEvent) {
  let rest = '';
  let event = { id: '', name: 'message', data: [] };
  return text => {
    const lines = (rest + text).split(/\r\n|\n|\r/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === '') {
        if (event.data.length > 0) onEvent({ id: event.id, name: event.name, data: event.data.join('\n') });
        event = { id: '', name: 'message', data: [] };
      } else if (!line.startsWith(':')) {
        const colon = line.indexOf(':');
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
        if (field === 'id') event.id = value;
        else if (field === 'event') event.name = value;
        else if (field === 'data') event.data.push(value);
      }
    }
  };
}
