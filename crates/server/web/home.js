// The page of a customer: balance, buying, purchases, history. It uses the public API and nothing else.

const settings = document.body.dataset;
const price = { numerator: BigInt(settings.numerator), denominator: BigInt(settings.denominator) };
const least = BigInt(settings.min);
const most = BigInt(settings.max);
const element = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat();
const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const words = {
  topup: "Purchase",
  add: "Added",
  sub: "Taken off",
  grant: "Given",
  charge: "Spent",
  settle: "Spent",
  expire: "Expired",
  void: "Taken back",
  roll_over: "Carried over",
  exchange: "Exchanged",
};

let token = tokenFromAddress() ?? sessionStorage.getItem("token");
/** The history as far as it is shown, and where it goes on; `undefined` before it was first read. */
let movements = [];
let cursor;

// ---- the API -------------------------------------------------------------------------------------------------------

class ApiError extends Error {
  constructor(status, error) {
    super(error?.message ?? `The server answered ${status}.`);
    this.status = status;
    this.code = error?.code;
  }
}

async function ask(path, body) {
  const headers = {};
  if (token) headers.authorization = `Bearer ${token}`;
  if (body) headers["content-type"] = "application/json";
  const response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, answer.error);
  return answer;
}

function tokenFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return null;
  // It must not stay in the address, where it would be bookmarked and shown.
  history.replaceState(null, "", location.pathname + location.search);
  sessionStorage.setItem("token", given);
  return given;
}

/** The token of the demo user, where the server has one (`bursar dev`). */
async function demoToken() {
  if (settings.demo !== "true") return null;
  const response = await fetch("demo/session", { method: "POST" }).catch(() => null);
  if (!response?.ok) return null;
  return (await response.json()).user_token;
}

// ---- money ---------------------------------------------------------------------------------------------------------

/** What `credits` cost, rounded up to the smallest step, as the server does it. Whole numbers only. */
function cost(credits) {
  const exact = credits * price.numerator;
  return exact / price.denominator + (exact % price.denominator ? 1n : 0n);
}

function money(minor, currency = settings.currency) {
  const decimals = Number(settings.decimals);
  const digits = String(minor).padStart(decimals + 1, "0");
  const text = decimals ? `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}` : digits;
  const style = { style: "currency", currency, minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return new Intl.NumberFormat(undefined, style).format(text);
}

// ---- showing -------------------------------------------------------------------------------------------------------

function say(message) {
  element("alert").textContent = message ?? "";
  element("alert").hidden = !message;
}

function make(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function row(cells) {
  const made = make("tr");
  made.append(...cells);
  return made;
}

function showBalance(balance) {
  element("credits").textContent = whole.format(balance.credits);
  element("credits-unit").textContent = balance.credits === 1 ? "credit" : "credits";
  element("worth").textContent = balance.money ? `worth ${balance.money.display}` : "";
  element("held").textContent = `${whole.format(balance.held)} reserved, ${whole.format(balance.available)} available`;
  element("held").hidden = balance.held === 0;
  element("who").textContent = balance.user_id;
  element("who").hidden = false;
}

function showTopups(items) {
  const rows = items.map((topup) => {
    const status = make("td");
    status.append(make("span", topup.status, `status ${topup.status}`));
    const action = make("td", undefined, "number");
    if (topup.status === "pending") {
      const label = `Pay for ${whole.format(topup.credits)} credits`;
      const pay = make("button", "Pay", "button plain small");
      pay.type = "button";
      pay.setAttribute("aria-label", label);
      pay.addEventListener("click", () => guarded(pay, () => checkout(topup.topup_id)));
      action.append(pay);
    }
    return row([
      make("td", dates.format(new Date(topup.created_at))),
      make("td", whole.format(topup.credits), "number"),
      make("td", topup.display, "number"),
      status,
      action,
    ]);
  });
  element("topup-rows").replaceChildren(...rows);
  element("no-topups").hidden = rows.length > 0;
}

function showHistory() {
  const rows = movements.map((movement) => {
    const plus = movement.credits > 0;
    const change = `${plus ? "+" : "−"}${whole.format(Math.abs(movement.credits))}`;
    return row([
      make("td", dates.format(new Date(movement.created_at))),
      make("td", words[movement.kind] ?? movement.kind),
      make("td", movement.note, "free"),
      make("td", change, `number ${plus ? "plus" : "minus"}`),
      make("td", whole.format(movement.credits_after), "number"),
    ]);
  });
  element("history-rows").replaceChildren(...rows);
  element("no-history").hidden = rows.length > 0;
  element("more").hidden = !cursor;
}

// ---- doing ---------------------------------------------------------------------------------------------------------

/** Keeps a button from being pressed twice, and says what went wrong. */
async function guarded(button, action) {
  button.disabled = true;
  say(null);
  try {
    await action();
  } catch (error) {
    say(error.message);
  } finally {
    button.disabled = false;
  }
}

async function checkout(topupId) {
  const { checkout_url: address } = await ask("v1/payment.stripe/checkout/create", { topup_id: topupId });
  location.assign(address);
}

function chosen() {
  const typed = element("amount").value.replaceAll(/[\s.,'_\u00a0\u202f]/g, "");
  if (typed) return /^\d{1,15}$/.test(typed) ? BigInt(typed) : null;
  const choice = document.querySelector("input[name=choice]:checked");
  return choice ? BigInt(choice.value) : null;
}

function isForSale(credits) {
  return credits !== null && credits >= least && credits <= most;
}

function showChosen() {
  const credits = chosen();
  const good = isForSale(credits);
  element("pay").textContent = good ? `Buy ${whole.format(credits)} credits for ${money(cost(credits))}` : "Buy";
  element("amount").setAttribute("aria-invalid", String(!good && element("amount").value !== ""));
}

async function buy() {
  const credits = chosen();
  if (!isForSale(credits)) {
    element("amount").focus();
    throw new Error(`Choose a whole number from ${whole.format(least)} to ${whole.format(most)}.`);
  }
  const topup = await ask("v1/balance/topups/create", { amount: Number(credits) });
  await checkout(topup.topup_id);
}

function offerChoices() {
  const offers = [500n, 1000n, 2500n, 5000n].filter(isForSale);
  const choices = (offers.length ? offers : [least]).map((credits, index) => {
    const label = make("label", undefined, "choice");
    const input = make("input");
    Object.assign(input, { type: "radio", name: "choice", value: String(credits), checked: index === 0 });
    const face = make("span", whole.format(credits));
    face.append(make("small", money(cost(credits))));
    label.append(input, face);
    return label;
  });
  element("choices").replaceChildren(...choices);
  element("amount-hint").textContent = `From ${whole.format(least)} to ${whole.format(most)} credits.`;
}

async function refresh() {
  const [balance, topups, history] = await Promise.all([
    ask("v1/balance/me"),
    ask("v1/balance/topups/me?limit=5"),
    ask("v1/balance/history/me?limit=10"),
  ]);
  showBalance(balance);
  showTopups(topups.items);
  const known = new Set(history.items.map((movement) => movement.transaction_id));
  movements = [...history.items, ...movements.filter((movement) => !known.has(movement.transaction_id))];
  if (cursor === undefined) cursor = history.next;
  showHistory();
}

async function showMore() {
  const history = await ask(`v1/balance/history/me?limit=20&cursor=${encodeURIComponent(cursor)}`);
  movements = [...movements, ...history.items];
  cursor = history.next;
  showHistory();
}

function show(signedIn) {
  element("sign-in").hidden = signedIn;
  for (const part of ["account", "topups", "history"]) element(part).hidden = !signedIn;
}

async function open() {
  token ??= await demoToken();
  if (!token) return show(false);
  try {
    await refresh();
    show(true);
  } catch (error) {
    if (error.status === 401 || error.status === 403) return signInAgain(error);
    throw error;
  }
}

async function signInAgain(error) {
  sessionStorage.removeItem("token");
  const fresh = await demoToken();
  if (fresh && fresh !== token) {
    token = fresh;
    return open();
  }
  token = null;
  show(false);
  say(error.message);
}

async function showMethods() {
  const { items } = await ask("v1/payment/methods");
  const method = items.find((one) => one.action === "checkout/create");
  if (method?.enabled) return;
  element("pay").disabled = true;
  element("pay-hint").textContent = `Buying is switched off: ${method?.reason ?? "no payment method is configured"}`;
}

async function look() {
  if (!token || document.hidden) return;
  await refresh().catch(() => {});
}

offerChoices();
showChosen();
element("buy").addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(element("pay"), buy);
});
element("buy").addEventListener("input", (event) => {
  if (event.target.name === "choice") element("amount").value = "";
  showChosen();
});
element("more").addEventListener("click", () => guarded(element("more"), showMore));
element("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  token = element("token").value.trim();
  sessionStorage.setItem("token", token);
  guarded(event.submitter ?? element("token"), open);
});
// Coming back from the payment page, also by the browser's back button.
window.addEventListener("pageshow", look);
document.addEventListener("visibilitychange", look);
setInterval(look, 4000);

open().then(showMethods).catch((error) => say(error.message));
