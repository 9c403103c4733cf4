// Drawing: the fleet's totals over time and the lane of one device, as SVG made node by node. Text becomes text nodes only: ids and
// names of sites come from devices, and devices may be hostile.

const SVG = 'http://www.w3.org/2000/svg';

/** An element with attributes, text and children. */
export function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function draw(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

/** A moment as the page shows it: UTC, to the second, without the day when it is today's. */
export function moment(text, now) {
  if (!text) return '';
  return text.slice(0, 10) === (now ?? '').slice(0, 10) ? text.slice(11, 19) : `${text.slice(0, 10)} ${text.slice(11, 19)}`;
}

/** A stacked chart of some statuses over time; its scale is its own, so that ten silent ones show beside a hundred thousand. */
export function fleetChart(title, fleet, statuses, spanMs, width) {
  const height = 90;
  const end = Date.parse(fleet.now);
  const indexes = statuses.map(status => fleet.statuses.indexOf(status));
  const sums = fleet.samples.map(sample => indexes.reduce((sum, index) => sum + sample.counts[index], 0));
  const top = Math.max(1, ...sums);
  const step = Math.max(1, width * fleet.stepSeconds * 1000 / spanMs);
  const last = sums.length > 0 ? sums[sums.length - 1] : 0;
  const chart = draw('svg', {
    viewBox: `0 0 ${width} ${height + 16}`, role: 'img',
    'aria-label': `${title} over the last ${spanMs > 3_600_000 ? 'day' : 'hour'}: now ${last}, at most ${top}`,
  });
  chart.append(draw('line', { x1: 0, x2: width, y1: height, y2: height, class: 'rule' }));
  for (const sample of fleet.samples) {
    const x = width - (end - Date.parse(sample.at)) * width / spanMs - step;
    let y = height;
    statuses.forEach((status, i) => {
      const tall = sample.counts[indexes[i]] * (height - 14) / top;
      if (tall > 0) {
        y -= tall;
        chart.append(draw('rect', { x: x.toFixed(1), y: y.toFixed(1), width: (step + .3).toFixed(1), height: tall.toFixed(1), class: status }));
      }
    });
  }
  chart.append(
    draw('text', { x: 2, y: 11 }, `${title}, at most ${top}`),
    draw('text', { x: 2, y: height + 13 }, moment(new Date(end - spanMs).toISOString(), fleet.now)),
    draw('text', { x: width - 2, y: height + 13, 'text-anchor': 'end' }, `${moment(fleet.now, fleet.now)} UTC`));
  return chart;
}

const LANES = [
  ['status', []],
  ['heartbeats', ['heartbeat']],
  ['renewals', ['renewal']],
  ['connection', ['connect', 'disconnect', 'hubCode']],
  ['device says', ['told']],
];

/** The swim-lane of one device: from its oldest remembered event, but at most a day, until now. */
export function laneChart(history, width) {
  const left = 90;
  const lane = 30;
  const end = Date.parse(history.now);
  const moments = [...history.changes, ...history.marks].map(event => Date.parse(event.at)).filter(at => at > end - 86_400_000);
  const start = Math.min(end - 60_000, ...moments);
  const xOf = at => left + Math.max(0, Math.min(1, (at - start) / (end - start))) * (width - left - 10);
  const height = LANES.length * lane;
  const chart = draw('svg', {
    viewBox: `0 0 ${width} ${height + 18}`, role: 'img',
    'aria-label': `${history.device.id}: ${history.changes.length} changes of status, ${history.marks.length} marks; the table below has them all`,
  });
  LANES.forEach(([name], i) => chart.append(
    draw('text', { x: 0, y: i * lane + 19 }, name),
    draw('line', { x1: left, x2: width, y1: (i + 1) * lane, y2: (i + 1) * lane, class: 'rule' })));
  bars(history, start, end).forEach(bar => chart.append(draw('rect', {
    x: xOf(bar.from).toFixed(1), y: 5, width: Math.max(1.5, xOf(bar.to) - xOf(bar.from)).toFixed(1), height: lane - 10, class: bar.status,
  }, draw('title', {}, bar.title))));
  for (const mark of history.marks) {
    const at = Date.parse(mark.at);
    const row = LANES.findIndex(([, kinds]) => kinds.includes(mark.kind));
    if (at >= start && row >= 0) chart.append(shape(mark, xOf(at), row * lane, lane));
  }
  chart.append(
    draw('text', { x: left, y: height + 14 }, moment(new Date(start).toISOString(), history.now)),
    draw('text', { x: width - 2, y: height + 14, 'text-anchor': 'end' }, `${moment(history.now, history.now)} UTC`));
  return chart;
}

// What it was before the first change is that change's "from"; after the last it is what it is now.
function bars(history, start, end) {
  const found = [];
  let from = start;
  let status = history.changes.length > 0 ? history.changes[0].from : history.device.status;
  let why = '';
  for (const change of history.changes) {
    const at = Math.max(start, Date.parse(change.at));
    found.push({ from, to: at, status, title: `${status} ${why}` });
    [from, status, why] = [at, change.to, change.reason];
  }
  found.push({ from, to: end, status, title: `${status} ${why}` });
  return found.filter(bar => bar.to > bar.from);
}

function shape(mark, x, y, lane) {
  const title = draw('title', {}, `${mark.at} ${mark.text}`);
  const middle = y + lane / 2;
  switch (mark.kind) {
    case 'renewal':
    case 'told':
      return draw('path', { d: `M${x} ${middle - 7}l7 7l-7 7l-7 -7z`, class: mark.kind }, title);
    case 'connect':
      return draw('line', { x1: x, x2: x, y1: y + 4, y2: middle, class: mark.kind }, title);
    case 'disconnect':
    case 'hubCode':
      return draw('line', { x1: x, x2: x, y1: middle, y2: y + lane - 4, class: mark.kind }, title);
    default:
      return draw('line', { x1: x, x2: x, y1: y + 8, y2: y + lane - 8, class: mark.kind }, title);
  }
}
