// Shows the status in the page's element "data", and then asks for a new one
// every 2 seconds.  Text from outside becomes text nodes and attribute values,
// never markup.

'use strict';

const LONG = 15;                // lines of a list of refusals at first
const LIMIT = 256;              // lines of a list that are asked for at most
const REFRESH = 2000;           // ms
const TIMEOUT = 5000;           // ms
const PERMANENT = 4102444800;   // unix seconds

const more = {};                // lists of which more is to be shown

/** @type {(id: string) => any} */
const $ = (id) => document.getElementById(id);


// ---- elements

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== '') element.setAttribute(name, value);
  }
  element.append(...children.flat());
  return element;
}

const h = (tag, attributes, ...children) =>
  fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS('http://www.w3.org/2000/svg', tag),
    attributes, children);
const rect = (kind, x, y, width, height, title) =>
  svg('rect', { class: kind, x, y, width, height }, svg('title', {}, title));
const show = (id, ...children) => $(id).replaceChildren(...children);
const tag = (kind, text) => h('span', { class: 'tag ' + kind }, text);

function bar(part, most, kind) {
  const element = h('span', { class: 'bar ' + kind });
  element.style.width = share(part, most) + '%';
  return element;
}

// columns: { title: class }; empty: shown without rows

function table(id, columns, rows, empty) {
  const kinds = Object.values(columns);
  const titles = Object.keys(columns);
  const cell = (content, i) =>
    h('td', { class: kinds[i], 'data-title': titles[i] },
      h('span', {}, content));
  show(id, h('table', {},
    h('thead', {}, h('tr', {}, titles.map((title, i) =>
      h('th', { class: kinds[i] }, title)))),
    h('tbody', {}, rows.length
      ? rows.map((row) => h('tr', {}, row.map(cell)))
      : h('tr', {}, h('td', { class: 'empty', colspan: kinds.length },
        empty)))));
}

function figure(name, value, unit = '', kind = '') {
  return h('div', { class: kind },
    h('div', { class: 'value' }, value, h('small', {}, ' ' + unit)),
    h('div', { class: 'name' }, name));
}


// ---- numbers in words

function count(n) {
  if (n < 100000) return n.toLocaleString('en');
  if (n < 1e7) return (n / 1e3).toFixed(0) + ' k';
  if (n < 1e9) return (n / 1e6).toFixed(1) + ' M';
  return (n / 1e9).toFixed(1) + ' G';
}

function rate(x) {
  return x === 0 ? '0' : x < 10 ? x.toFixed(1) : count(Math.round(x));
}

function span(seconds) {
  const sec = Math.max(0, Math.round(seconds));
  if (sec < 120) return sec + ' s';
  if (sec < 7200) return Math.floor(sec / 60) + ' min';
  if (sec < 172800) return Math.floor(sec / 3600) + ' h';
  return Math.floor(sec / 86400) + ' days';
}

function usec(us) {
  if (us < 1000) return us + ' \u00b5s';
  if (us < 1e6) return Math.round(us / 100) / 10 + ' ms';
  return Math.round(us / 1e5) / 10 + ' s';
}

const share = (part, all) => all ? 100 * part / all : 0;

function percent(x) {
  if (x === 0 || x === 100) return x + ' %';
  if (x < 0.01) return '< 0.01 %';
  if (x > 99.99) return '> 99.99 %';
  return x.toFixed(x > 99 || x < 1 ? 2 : 1) + ' %';
}

const words = (reason) => reason.replace(/_/g, ' ');
const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);
const ago = (d, time) => time ? span(d.now - time) + ' ago' : '';
const date = (time, length) =>
  new Date(time * 1000).toISOString().slice(0, length).replace('T', ' ');


// ---- the verdict, the state of each part

function verdict(d) {
  const marks = { error: 'Act now', warning: 'Look at this' };
  const [first] = d.problems;
  const serious = first && first.severity !== 'note';
  const others = serious ? d.problems.slice(1) : d.problems;
  const calm = d.redis.configured
    ? 'Redis answers, the grant table is loaded, changes of grants arrive '
      + 'at once, last accesses reach Redis.'
    : 'No Redis is configured: no resource asks for a grant.';

  $('verdict').className = serious ? first.severity : 'note';
  show('verdict',
    h('div', { class: 'mark' }, serious ? marks[first.severity] : 'In order'),
    h('h1', {}, serious ? first.text + '.' : 'Every check is being decided.'),
    h('p', {}, serious ? first.advice : calm),
    h('ul', {}, others.map((p) => h('li', { class: p.severity },
      h('b', {}, p.text + '.'), h('span', {}, p.advice)))));
  document.title = (serious ? '(!) ' + first.text : 'In order')
    + ' - app permission';
}

function parts(d) {
  const a = d.access, c = d.cache, i = d.invalidation;
  const r = d.redis, t = d.table;
  const severity = {};
  for (const p of d.problems) severity[p.name] = p.severity;

  const part = (name, kind, state, more) => h('div', { class: kind },
    h('div', { class: 'name' }, name), h('div', { class: 'state' }, state),
    h('div', { class: 'more' }, more));
  const since = (x) => x.since ? 'for ' + span(d.now - x.since) + ', ' : '';

  const redis = !r.configured ? ['unknown', 'not configured']
    : severity.redis_unknown ? ['unknown', 'not reached yet']
      : !r.up ? ['error', 'down']
        : severity.redis_replica ? ['error', 'a replica']
          : severity.lookups_refused ? ['error', 'refuses lookups']
            : ['good', 'up'];
  const loaded = t.loaded === null ? ['unknown', 'not asked yet']
    : r.configured && !r.up ? ['unknown', 'not known']
    : t.loaded ? ['good', 'loaded'] : ['error', 'not loaded'];
  const changes = i.active ? ['good', 'pushed']
    : [r.configured && r.up ? 'warning' : 'unknown', 'not pushed'];

  const error = r.last_error;
  const recent = error && (!error.over || d.now - error.last < 3600);

  show('parts',
    part('Redis', ...redis, [(r.server ? r.server + ', ' : '') + since(r)
      + 'commands ' + count(r.commands) + ', errors ' + count(r.errors),
      recent ? h('div', { class: 'cause' },
      (error.over ? 'Last error, ' : 'Error, ') + ago(d, error.last) + ': '
        + error.address + ': ' + error.cause) : '']),
    part('Grant table', ...loaded, (r.configured && !r.up && t.loaded !== null
      ? 'when Redis last answered: ' + (t.loaded ? 'loaded' : 'not loaded')
        + ', ' : since(t))
      + 'unreadable grants met: ' + count(r.unreadable_grants)),
    part('Changes of grants', ...changes, since(i) + count(i.received)
      + ' received, lag ' + i.last_lag_ms + ' ms, worst ' + i.worst_lag_ms
      + ' ms'),
    part('Last accesses',
      severity.access_dropped || severity.access_pending || 'good',
      a.pending ? count(a.pending) + ' pending' : 'all in Redis',
      (a.pending ? 'oldest ' + span(a.oldest_pending_seconds) + ', ' : '')
        + count(a.flushed) + ' flushed, ' + count(a.dropped) + ' dropped'),
    part('Cache', 'good',
      count(c.entries) + ' of ' + count(c.capacity) + ' entries',
      'oldest answer in use ' + span(c.oldest_answer_seconds) + ' (hits are '
        + 'sampled), '
        + count(c.evicted) + ' evicted'));
}


// ---- rates and the chart, from the history's rows and one more for now

const [TIME, ALLOW, DENY, FAIL, WOULD_DENY, HIT, MISS, STALE] =
  [0, 1, 2, 3, 4, 5, 6, 7];

function points(d) {
  const q = d.requests, c = d.cache;
  return d.history.rows.filter((row) => row[TIME] < d.now).concat([[d.now,
    sum(q.allow), sum(q.deny), sum(q.fail), q.dry_run_denied, c.hit, c.miss,
    c.stale]]);
}

function figures(d) {
  const rows = points(d), to = rows[rows.length - 1];
  const from = rows.filter((row) => row[TIME] <= to[TIME] - 10).pop()
    || rows[0];
  const sec = Math.max(1, to[TIME] - from[TIME]);
  const per = (...columns) => columns.reduce((all, i) =>
    all + Math.max(0, to[i] - from[i]) / sec, 0);

  const checks = per(ALLOW, DENY, FAIL, WOULD_DENY);
  const lookups = per(HIT, MISS, STALE);
  const refused = share(per(DENY, FAIL), checks);
  const stale = per(STALE), hits = d.latency_us.hit;
  const within = ', last ' + span(sec);

  show('figures',
    figure('checks' + within, rate(checks), 'a second'),
    figure('refused, ' + percent(refused) + within, rate(per(DENY, FAIL)), 'a second',
      per(FAIL) ? 'error' : refused > 20 ? 'warning' : ''),
    figure('let through by dry run' + within, rate(per(WOULD_DENY)), 'a second'),
    figure((stale ? 'decided by stale answers' : 'decided from the cache')
      + within,
      lookups ? percent(share(stale || per(HIT), lookups)) : '-', '',
      stale ? 'warning' : ''),
    figure('99 % of hits within (1 of ' + hits.sampled + ' is timed), since start', hits.count ? usec(hits.p99) : '-'),
    figure('checks in all', count(to[ALLOW] + to[DENY] + to[FAIL]
      + to[WOULD_DENY]), 'in ' + span(d.uptime_seconds)));
}

function chart(d) {
  const SPAN = 600, height = 190, width = $('chart').clientWidth || 1000;
  const kinds = Object.entries({ allow: ALLOW, would: WOULD_DENY, deny: DENY,
    fail: FAIL });
  const rows = points(d), bars = [];

  for (let i = 1; i < rows.length; i++) {
    const from = rows[i - 1], to = rows[i], sec = to[TIME] - from[TIME];
    if (sec < 1 || sec > 60 || to[TIME] < d.now - SPAN) continue;
    if (kinds.some(([, k]) => to[k] < from[k])) continue;   // a new zone
    bars.push({ to: to[TIME], sec: sec,
      rates: kinds.map(([, k]) => (to[k] - from[k]) / sec) });
  }

  const most = Math.max(1, ...bars.map((b) => sum(b.rates)));
  const step = Math.pow(10, Math.floor(Math.log10(most)));
  const top = Math.ceil(most / step) * step;
  const x = (time) => width * (1 - (d.now - time) / SPAN);
  const g = svg('g', {});

  for (const y of [0, top / 2, top]) {
    const at = height - height * y / top;
    g.append(svg('line', { class: 'axis', x1: 0, x2: width, y1: at, y2: at }),
      svg('text', { x: 0, y: at - 4 }, y ? rate(y) + '/s' : ''));
  }

  for (const b of bars) {
    let at = height;
    b.rates.forEach((value, i) => {
      const tall = height * value / top;
      if (!tall) return;
      at -= tall;
      g.append(rect(kinds[i][0], Math.max(0, x(b.to - b.sec)), at,
        Math.max(1, width * b.sec / SPAN - 1), tall,
        kinds[i][0] + ' ' + rate(value) + '/s'));
    });
  }

  for (const minutes of [10, 5, 0]) {
    g.append(svg('text', { x: x(d.now - minutes * 60), y: height + 16,
      'text-anchor': { 10: 'start', 5: 'middle', 0: 'end' }[minutes] },
    minutes ? minutes + ' min ago' : 'now'));
  }

  show('chart', svg('svg', { viewBox: `0 -14 ${width} ${height + 34}`,
    role: 'img', 'aria-label': 'checks a second' }, g));
}


// ---- the tables

function reasons(d) {
  const q = d.requests;
  const list = [
    ['allowed: ', q.allow, 'allow'], ['denied: ', q.deny, 'deny'],
    ['failed: ', q.fail, 'fail'], ['would deny: ', q.dry_run.deny, 'would'],
    ['would fail: ', q.dry_run.fail, 'would'],
  ].flatMap(([label, counts, kind]) => Object.entries(counts)
    .filter(([, n]) => n)
    .map(([reason, n]) => [label + words(reason), n, kind]));
  const all = list.reduce((total, [, n]) => total + n, 0);

  table('reasons', { Decision: 'name', Calls: 'n', Share: 'n' },
    list.map(([label, n, kind]) => [[label, bar(n, all, kind)], count(n),
      percent(share(n, all))]), 'No call was checked yet.');
}

// bucket i has the durations up to 2^i microseconds

function times(d) {
  const names = { hit: 'Hit', miss: 'Miss', redis: 'Redis command' };
  const width = $('times').clientWidth || 480;

  show('times', ...Object.entries(names).map(([key, name]) => {
    const l = d.latency_us[key], most = Math.max(1, ...l.buckets);
    const step = width / l.buckets.length;
    const g = svg('svg', { viewBox: `0 0 ${width} 62`, role: 'img',
      'aria-label': name });

    l.buckets.forEach((n, i) => {
      const tall = n ? Math.max(2, 40 * n / most) : 1;
      const bound = usec(Math.pow(2, i));
      g.append(rect(n ? 'would' : 'axis', i * step, 42 - tall, step - 3, tall,
        count(n) + ' within ' + bound));
      if (i % 6 === 0) g.append(svg('text', { x: i * step, y: 57 }, bound));
    });

    return h('div', {}, name + ': ', h('b', {}, l.count
      ? 'half within ' + usec(l.p50) + ', 99 % within ' + usec(l.p99)
      : 'none yet'), g);
  }));
}

// a click asks "explain" about the call of that line

function explain(e, text) {
  const link = h('a', { href: '#explain' }, text);
  link.addEventListener('click', () => {
    const fields = $('explain').elements;
    for (const name of ['gateway', 'resource', 'app']) {
      fields[name].value = e[name];
    }
    $('explain').requestSubmit();
  });
  return link;
}

function refusals(id, member, d, kind, empty) {
  const list = d[member], l = d.lists[member];
  const most = Math.max(1, ...list.map((e) => e.count));
  const lines = list.slice(0, more[id] ? LIMIT : LONG).map((e) => [
    e.app ? explain(e, e.app) : '(none or not valid)', e.gateway, e.resource,
    words(e.reason),
    [(e.error ? count(e.count - e.error) + ' to ' : '') + count(e.count),
      bar(e.count - e.error, most, kind)],
    ago(d, e.first), ago(d, e.last)]);

  table(id, { App: 'name', Gateway: 'name', Resource: 'name', Reason: '',
    Calls: 'n', First: '', Last: '' }, lines, empty);

  if (l.kept) rest(id, member, l, lines.length);
}

// how much of the list that was, and the ways to the rest

function rest(id, member, l, shown) {
  const href = location.pathname + '?' + member + '=1&format=';
  const all = l.distinct_exact ? count(l.distinct) : 'about '
    + count(l.distinct);
  const line = h('p', { class: 'hint rest' },
    shown < l.distinct ? `${count(shown)} of ${all} shown. ` : `All ${all}. `);

  if (l.missing) {
    line.append(h('b', {}, `About ${count(l.missing)} are missing: `
      + `the list keeps ${count(l.capacity)}, and the rarest made room. `));
  } else if (!l.distinct_exact) {
    line.append('Some that came once may be missing. ');
  }

  if (shown < l.kept && !more[id]) {
    const button = h('button', {}, 'Show more');
    button.addEventListener('click', () => { more[id] = true; reload(); });
    line.append(button, ' ');
  }

  line.append('All that is kept: ', h('a', { href: href + 'csv' }, 'CSV'), ', ',
    h('a', { href: href + 'json&limit=' + LIMIT }, 'JSON'),
    l.kept > LIMIT ? ' (' + LIMIT + ' a page, offset=)' : '', '.');
  $(id).append(line);
}

function resources(d) {
  table('resources', { Gateway: 'name', Resource: 'name', Policy: '',
    Allowed: 'n', Denied: 'n', Failed: 'n', 'Would be refused': 'n',
    'Last call': '' },
  d.resources.map((e) => [e.gateway, e.resource,
    [tag('', e.policy), ' ', e.dry_run ? tag('would', 'dry run') : ''],
    (e.allowed ? 'about ' : '') + count(e.allowed), count(e.denied), count(e.failed),
    e.dry_run || e.would_deny ? count(e.would_deny) : '', ago(d, e.last)]),
  'No call was checked yet.');
}

function expiring(d) {
  show('windows', ...Object.entries(d.expiring.within_days).map(([days, n]) =>
    figure('within ' + (days === '1' ? 'a day' : days + ' days'), count(n), '',
      days === '1' && n ? 'warning' : '')));
  table('expiring', { App: 'name', Gateway: 'name', 'Grant on': 'name',
    Ends: '', In: 'n', Seen: '' },
  d.expiring.grants.map((e) => [
    e.resource === '-' ? e.app : explain(e, e.app), e.gateway,
    e.resource === '-' ? 'the whole gateway' : e.resource,
    date(e.expires, 16) + ' UTC',
    tag(e.expires - d.now < 86400 ? 'warning' : '', span(e.expires - d.now)),
    ago(d, e.seen)]),
  'No grant in use ends within 15 days.');
}


// ---- why a call is allowed or denied

const STATES = {
  fresh: 'It may decide the next call.',
  aged: 'It is older than app_permission_cache_valid: the next call asks '
    + 'Redis.',
  changed: 'A change of the grant was reported since: the next call asks '
    + 'Redis.',
  distrusted: 'Changes may have been missed since, as after a lost '
    + 'connection: the next call asks Redis.',
};

const SIDES = {
  cache: 'by the cached answer',
  redis: 'by the answer of Redis, which the call would wait for',
  stale: 'by the cached answer, as Redis does not give one',
  on_error: 'by app_permission_on_error: nothing is known, and Redis does not '
    + 'answer',
};

function explanation(e) {
  const c = e.cache, r = e.redis;
  const mark = (member, text) =>
    e.differs.includes(member) ? tag('error', text) : text;
  const decision = (side) =>
    mark('decision', side.decision + ', ' + words(side.reason));
  const end = (side, member) => {
    const time = side ? side[member] : undefined;
    if (time === undefined) return '-';
    return mark(member, time === null ? 'none' : time === 'unreadable' ? time
      : time >= PERMANENT ? 'permanent'
        : date(time, 19) + ' UTC' + (time > e.now ? ` (in ${span(time - e.now)})`
          : ` (${span(e.now - time)} ago)`));
  };
  const hint = (text) => h('span', { class: 'hint' }, ' ' + text);

  table('because', { '': '', 'Cache here': 'name', 'Redis now': 'name' }, [
    ['Decision', c.found ? decision(c) : '-', r ? decision(r) : '-'],
    ['Grant on the gateway ends', end(c, 'gateway_expires'),
      end(r, 'gateway_expires')],
    ['Grant on the resource ends', end(c, 'resource_expires'),
      end(r, 'resource_expires')],
    ['State', c.found ? [c.state + ', ' + span(c.age_ms / 1000) + ' old.',
      hint(STATES[c.state])] : 'not in the cache',
    !r ? ['no answer: ', e.redis_error]
      : r.table_loaded ? 'table loaded' : 'table not loaded'],
    ['A required call now', [h('b', {}, `${e.decision}, ${words(e.reason)}`),
      hint(SIDES[e.by])], ''],
  ], '');
  $('because').prepend(h('p', { class: e.agree === false ? 'warning'
    : e.agree ? 'good' : 'unknown' }, tag(e.agree === false ? 'warning' : '',
    e.agree === null ? 'unknown' : e.agree ? 'agree' : 'differ'), ' ',
  e.summary));
}

$('explain').addEventListener('submit', async (event) => {
  const failed = (text) => show('because', h('p', {}, text));
  const query = ['gateway', 'resource', 'app'].map((name) => name + '='
    + encodeURIComponent($('explain').elements[name].value)).join('&');
  event.preventDefault();
  try {
    const response = await fetch(location.pathname.replace(/[/]$/, '')
      + '/explain?' + query);
    const e = await response.json();
    if (e.error) failed(e.error); else explanation(e);
  } catch (error) {
    failed('No answer: is this status a prefix location?');
  }
});


// ---- all of it, again and again

function render(d) {
  verdict(d);
  parts(d);
  figures(d);
  chart(d);
  reasons(d);
  times(d);
  refusals('refused', 'refused', d, 'deny', 'Nothing was refused.');
  refusals('would', 'would_deny', d, 'would', 'Nothing would be refused.');
  resources(d);
  expiring(d);
}

let answered = Date.now();

function late() {
  const sec = (Date.now() - answered) / 1000;
  $('live').textContent = sec < 10 ? 'updated every 2 s'
    : 'no answer from this gateway for ' + span(sec);
  $('live').className = sec < 10 ? '' : 'tag error';
}

async function reload() {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), TIMEOUT);
  try {
    const response = await fetch(location.pathname + '?format=json'
      + (Object.keys(more).length ? '&limit=' + LIMIT : ''),
    { signal: abort.signal });
    render(await response.json());
    answered = Date.now();
  } catch (error) { /* late() shows it */ }
  clearTimeout(timer);
}

async function refresh() {
  if (document.hidden) answered = Date.now();
  else await reload();
  setTimeout(refresh, REFRESH);
}

render(JSON.parse($('data').textContent));
setTimeout(refresh, REFRESH);
setInterval(late, 1000);
