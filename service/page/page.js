// The page keeps no model of the fleet: what it shows is one page of each list. Totals come with the stream; when something changed, the
// lists that are in sight are asked for again, at most once a second, which costs the same for ten devices and for ten million.

import { fleetChart, laneChart, make, moment } from './lane.js';
import { listen } from './stream.js';

const STATUSES = ['online', 'renewing', 'late', 'silent', 'flapping', 'unknown', 'retired'];
const PAGE = 50;
const SPANS = { hour: 3_600_000, day: 86_400_000 };
const at = id => document.getElementById(id);
const state = { span: 'hour', site: '', next: null, device: null, from: null, now: '' };

// ---- asking

const keyName = 'agent-key';
const headers = () => {
  const key = sessionStorage.getItem(keyName);
  return key ? { 'x-agent-key': key } : {};
};

async function ask(path) {
  const answer = await fetch(path, { headers: headers(), cache: 'no-store' });
  if (answer.status === 401) askKey();
  if (!answer.ok) throw Object.assign(new Error((await answer.text()).trim()), { status: answer.status });
  const body = await answer.json();
  state.now = body.now ?? state.now;
  return body;
}

async function send(path, body) {
  const answer = await fetch(path, {
    method: 'POST', headers: { ...headers(), 'content-type': 'application/json' }, body: JSON.stringify(body), cache: 'no-store',
  });
  if (answer.status === 401) askKey();
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

/** A function that runs another at once, and again a second later if it was called meanwhile; never twice at a time. */
function calm(load) {
  let busy = false;
  let again = false;
  return async function run() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    again = false;
    await load().catch(() => {}); // What failed is asked for again with the next news; the header says when there is none.
    setTimeout(() => {
      busy = false;
      if (again) run();
    }, 1000);
  };
}

function askKey() {
  at('key-wrong').textContent = sessionStorage.getItem(keyName) ? 'The service does not accept this key.' : '';
  sessionStorage.removeItem(keyName);
  if (!at('key').open) at('key').showModal();
}

at('key').addEventListener('cancel', event => event.preventDefault()); // Without a key there is nothing behind it.
at('key-form').addEventListener('submit', event => {
  event.preventDefault();
  sessionStorage.setItem(keyName, at('key-text').value);
  at('key-text').value = '';
  at('key').close();
  connect();
});

// ---- the fleet

function showTotals(totals) {
  const tiles = at('totals');
  if (tiles.children.length === 0) {
    tiles.append(...['total', ...STATUSES].map(name =>
      make('li', { class: name, 'data-total': name }, make('b', {}, '0'), make('span', {}, name === 'total' ? 'devices' : name))));
  }
  for (const tile of tiles.children) tile.firstChild.textContent = totals[tile.dataset.total].toLocaleString('en');
  at('empty').hidden = totals.total > 0;
  at('worst-count').textContent = (totals.silent + totals.flapping + totals.late).toLocaleString('en');
}

/** Charts are drawn as wide as their place, so that their text keeps its size. */
const wide = (id, least) => Math.max(least, Math.round(at(id).clientWidth));

const loadFleet = calm(async () => {
  const fleet = await ask(`fleet?span=${state.span}`);
  showTotals(fleet.totals);
  at('fleet-charts').replaceChildren(
    fleetChart('Silent, flapping, late, renewing', fleet, ['silent', 'flapping', 'late', 'renewing'], SPANS[state.span],
      wide('fleet-charts', 200)),
    fleetChart('Online', fleet, ['online'], SPANS[state.span], wide('fleet-charts', 200)));
});

for (const span of Object.keys(SPANS)) {
  at(`span-${span}`).addEventListener('click', () => {
    state.span = span;
    for (const other of Object.keys(SPANS)) at(`span-${other}`).setAttribute('aria-pressed', String(other === span));
    loadFleet();
  });
}

// ---- lists

/** Puts rows in place without taking the focus away from a button that is still there; from one that is not, it goes to its row. */
function replaceRows(body, rows) {
  const active = body.contains(document.activeElement) ? document.activeElement : null;
  const [held, heldRow] = [active?.dataset.key, active?.closest('[data-row]')?.dataset.row];
  body.replaceChildren(...rows);
  if (active === null) return;
  const next = [...body.querySelectorAll('[data-key]')].find(button => button.dataset.key === held)
    ?? [...body.querySelectorAll('[data-row]')].find(one => one.dataset.row === heldRow);
  next?.focus();
}

const row = (...cells) => make('tr', {}, ...cells.map(cell => make('td', {}, cell ?? '')));
const statusWord = status => make('span', { class: `status ${status}` }, status);

function chooser(key, onClick) {
  const button = make('button', { type: 'button', class: 'id', 'data-key': key }, key);
  button.addEventListener('click', onClick);
  return button;
}

const deviceButton = id => chooser(id, event => {
  state.from = event.currentTarget.closest('ul, tbody').id;
  location.hash = encodeURIComponent(id);
});

function worstRow(device) {
  return row(deviceButton(device.id), statusWord(device.status), moment(device.since, state.now), device.site, device.reason);
}

async function askWorst(from) {
  const site = state.site ? `&site=${encodeURIComponent(state.site)}` : '';
  let page = await ask(`worst?limit=${PAGE}${from ? `&from=${from}` : ''}${site}`);
  // An answer may end before it has found anything: the service does not look through a whole large fleet at once.
  for (let tries = 0; page.devices.length === 0 && page.next && tries < 60; tries++) page = await ask(`worst?limit=${PAGE}&from=${page.next}${site}`);
  return page;
}

const loadWorst = calm(async () => {
  // Whoever has gone on to further rows reads; the list must not jump under him. "More" and the first page are always fresh.
  if (at('worst').children.length > PAGE) return;
  const page = await askWorst(null);
  replaceRows(at('worst'), page.devices.map(worstRow));
  showMore(page);
});

function showMore(page) {
  state.next = page.next;
  at('worst-more').hidden = !page.next;
  at('worst-none').hidden = at('worst').children.length > 0;
}

at('worst-more').addEventListener('click', async () => {
  const page = await askWorst(state.next);
  const rows = page.devices.map(worstRow);
  at('worst').append(...rows);
  showMore(page);
  rows[0]?.querySelector('button').focus();
});

function chooseSite(name) {
  state.site = name;
  at('site-all').hidden = !name;
  at('site-all').textContent = `Only ${name}: show all sites`;
  at('worst').replaceChildren();
  loadWorst();
  if (name) at('site-all').focus();
}

at('site-all').addEventListener('click', () => chooseSite(''));

const loadSites = calm(async () => {
  const page = await ask(`sites?limit=${PAGE}`);
  at('sites-count').textContent = page.total.toLocaleString('en');
  at('sites-none').hidden = page.total > 0;
  replaceRows(at('sites'), page.sites.map(site => row(
    chooser(site.name, () => chooseSite(site.name)),
    site.devices.toLocaleString('en'),
    site.isLost ? make('span', { class: 'status silent' }, `${site.overdue} (site lost)`) : site.overdue.toLocaleString('en'))));
});

const KINDS = {
  deviceSilent: 'silent', deviceFlapping: 'flapping', siteLost: 'site lost', fleetLost: 'fleet lost', renewalStorm: 'renewal storm ahead',
};

function alarmRow(alarm, now) {
  const isSeen = alarm.acknowledgedBy !== null;
  const act = make('button', { type: 'button', class: 'act', 'data-key': `acknowledge ${alarm.number}` }, 'Acknowledge');
  act.addEventListener('click', () => openAcknowledge(alarm));
  return make('li', { 'data-row': alarm.number, tabindex: '-1', class: isSeen ? 'seen' : '' },
    alarm.kind.startsWith('device') ? deviceButton(alarm.subject) : make('b', {}, alarm.subject),
    ` ${KINDS[alarm.kind] ?? alarm.kind}, raised ${moment(alarm.raisedAt, now)}: ${alarm.reason}`,
    isSeen ? make('span', { class: 'by' }, `acknowledged by ${alarm.acknowledgedBy} at ${moment(alarm.acknowledgedAt, now)}`) : act);
}

const loadAlarms = calm(async () => {
  const page = await ask('alarms');
  at('alarms-count').textContent = page.open.toLocaleString('en');
  at('alarms-none').hidden = page.open > 0;
  replaceRows(at('alarms'), page.alarms.slice(0, PAGE).map(alarm => alarmRow(alarm, page.now)));
  at('told').replaceChildren(...page.destinations.map(each => make('li', {},
    `${each.name} is told of ${each.severity} and worse`,
    each.quietUntil ? `; quiet hours until ${moment(each.quietUntil, page.now)}: until then only of what is critical` : '',
    each.waiting > 0 ? `; ${each.waiting} waiting` : '')));
});

const nameKept = 'agent-name'; // Nobody proves his name here; it is for the others of the shift.
let acknowledging = null;

function openAcknowledge(alarm) {
  acknowledging = alarm;
  at('ack-what').textContent = `${alarm.subject}: ${KINDS[alarm.kind] ?? alarm.kind}`;
  at('ack-wrong').textContent = '';
  at('ack-by').value = localStorage.getItem(nameKept) ?? '';
  at('ack').showModal();
  at('ack-by').select();
}

at('ack-cancel').addEventListener('click', () => at('ack').close());
at('ack-form').addEventListener('submit', async event => {
  event.preventDefault();
  try {
    await send(`alarms/${acknowledging.number}/acknowledge`, { by: at('ack-by').value.trim() });
    localStorage.setItem(nameKept, at('ack-by').value.trim());
    at('ack').close();
    loadAlarms();
  } catch (failed) {
    at('ack-wrong').textContent = failed.message;
  }
});

// ---- one device

const loadLane = calm(async () => {
  const id = state.device;
  if (id === null) return;
  let history;
  try {
    history = await ask(`devices/${encodeURIComponent(id)}/history`);
  } catch (failed) {
    if (failed.status === 404) at('lane-why').textContent = failed.message;
    throw failed;
  }
  if (id !== state.device) return;
  const { device } = history;
  at('lane-title').replaceChildren(device.id, ' ', statusWord(device.status));
  at('lane-why').textContent = device.reason;
  at('lane-chart').replaceChildren(laneChart(history, wide('lane-chart', 640)));
  at('lane-key').textContent = history.changesKeptSince
    ? `Changes of status before ${moment(history.changesKeptSince, history.now)} are forgotten; heartbeats are noted while somebody looks.`
    : 'Heartbeats are noted from the moment somebody looks; the last connects are known from before.';
  at('lane-facts').replaceChildren(...Object.entries(device)
    .filter(([, value]) => value !== null && value !== '')
    .flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, String(value?.text ?? value))]));
  const events = [
    ...history.changes.map(change => [change.at, statusWord(change.to), change.reason]),
    ...history.marks.map(mark => [mark.at, mark.kind, mark.kind === mark.text ? '' : mark.text]),
  ].sort((a, b) => (a[0] < b[0] ? 1 : -1)).slice(0, 200);
  at('lane-rows').replaceChildren(...events.map(([when, what, why]) => row(moment(when, history.now), what, why)));
});

/** Runs a question of some seconds about the device in sight; its button waits, and a late answer about another is dropped. */
function onLane(button, doing, run) {
  at(button).addEventListener('click', async () => {
    const id = state.device;
    at(button).disabled = true;
    at('doctor').replaceChildren(make('p', {}, doing));
    let parts;
    try {
      parts = await run(id);
    } catch (failed) {
      parts = [make('p', { class: 'wrong' }, failed.message)];
    }
    at(button).disabled = false;
    if (id === state.device) {
      at('doctor').replaceChildren(...parts);
      at(button).focus();
    }
  });
}

onLane('lane-doctor', 'Examining; this may take half a minute …', async id => {
  const found = await send(`devices/${encodeURIComponent(id)}/doctor`, {});
  return [
    make('h3', {}, found.ok ? 'Nothing wrong was found' : 'Something is wrong'),
    make('ol', { class: 'steps' }, ...found.steps.map(step => make('li', { class: step.verdict },
      make('p', {}, make('b', {}, step.verdict), ` ${step.title}`), make('p', {}, step.finding)))),
    make('h3', {}, 'Try next'),
    make('ol', {}, ...found.next.map(text => make('li', {}, text))),
  ];
});

onLane('lane-reach', 'Calling it; this may take three quarters of a minute …', async id => {
  const found = await send(`devices/${encodeURIComponent(id)}/reach`, {});
  const word = found.reachable === null ? 'not known' : found.reachable ? 'reachable' : 'not reachable';
  return [make('p', {}, make('b', { class: found.reachable === false ? 'silent' : found.reachable ? 'online' : '' }, word),
    ` ${found.text} (${(found.tookMs / 1000).toFixed(1)} s)`)];
});

function showDevice() {
  let id = null;
  try {
    id = decodeURIComponent(location.hash.slice(1));
  } catch {
    // Not an id of ours.
  }
  const isDevice = id && id !== 'main';
  if (!isDevice) {
    if (id !== 'main') closeLane();
    return;
  }
  state.device = id;
  at('lane-title').textContent = id;
  at('lane-why').textContent = '';
  for (const part of ['doctor', 'lane-chart', 'lane-facts', 'lane-rows']) at(part).replaceChildren();
  at('lane').hidden = false;
  at('lane-title').focus();
  loadLane();
}

function closeLane() {
  const id = state.device;
  state.device = null;
  at('lane').hidden = true;
  if (id === null) return;
  // Back to where the reader came from.
  const buttons = [...document.querySelectorAll('[data-key]')].filter(button => button.dataset.key === id);
  (buttons.find(button => at(state.from)?.contains(button)) ?? buttons[0] ?? at('find-id')).focus();
}

function leave() {
  history.pushState(null, '', location.pathname);
  closeLane();
}

at('lane-close').addEventListener('click', leave);
document.addEventListener('keydown', event => {
  if (event.key === 'Escape' && state.device !== null && !at('key').open && !at('ack').open) leave();
});
at('find').addEventListener('submit', event => {
  event.preventDefault();
  const id = at('find-id').value.trim();
  if (id) location.hash = encodeURIComponent(id);
});
at('skip').addEventListener('click', event => {
  event.preventDefault();
  at('main').focus();
});
window.addEventListener('hashchange', showDevice);
window.addEventListener('popstate', showDevice);

// ---- live

function loadAll() {
  loadFleet();
  loadAlarms();
  loadWorst();
  loadSites();
  loadLane();
}

function onEvent({ name, data }) {
  if (name === 'reset') {
    loadAll();
    return;
  }
  const news = JSON.parse(data);
  state.now = news.now;
  if (name === 'totals') {
    showTotals(news.totals);
  } else if (name === 'alarms') {
    loadAlarms();
  } else if (name === 'changes') {
    loadFleet();
    loadWorst();
    loadSites();
    if (news.more > 0 || news.changes.some(change => change.device === state.device)) loadLane();
  }
}

const WORDS = { live: 'live', lost: 'connection lost, trying again …', key: 'a key is needed' };

function connect() {
  listen(headers, onEvent, word => {
    at('link').textContent = WORDS[word];
    at('link').dataset.state = word;
    if (word === 'key') askKey();
  });
}

// Charts and the open lane move on even when nothing happens.
setInterval(() => { if (!document.hidden && !at('key').open) loadFleet(); }, 10_000);
setInterval(() => { if (!document.hidden && !at('key').open) loadLane(); }, 2_000);
connect();
showDevice();
