// The little mathematics that several figures need. No DOM here: Node runs it in the tests.

export const sum = (values) => values.reduce((all, one) => all + one, 0);

export const mean = (values) => sum(values) / values.length;

// `count` points from `from` to `to`, both included.
export const linspace = (from, to, count) => Array.from({ length: count }, (_, at) => from + ((to - from) * at) / (count - 1));

export const logSumExp = (values) => {
  const most = Math.max(...values);
  return Number.isFinite(most) ? most + Math.log(sum(values.map((one) => Math.exp(one - most)))) : most;
};

export const softmax = (logits) => {
  const all = logSumExp(logits);
  return logits.map((one) => Math.exp(one - all));
};

export const normalLog = (x, mu = 0, sigma = 1) => -0.5 * ((x - mu) / sigma) ** 2 - Math.log(sigma) - 0.5 * Math.log(2 * Math.PI);

export const normal = (x, mu = 0, sigma = 1) => Math.exp(normalLog(x, mu, sigma));

// The integral of values over an even grid, by the trapezoidal rule.
export const integral = (values, width) => width * (sum(values) - 0.5 * (values[0] + values[values.length - 1]));

// Random numbers in [0, 1) and standard normal ones, the same for the same seed (mulberry32 and Box–Muller).
export function random(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const gaussian = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, gaussian };
}
