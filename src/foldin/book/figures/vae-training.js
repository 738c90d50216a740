// A VAE with two latent dimensions while it learns: its encoder, the sum of its codes, its decoder, and the terms of its bound.

import { linspace, normal, sum } from "./math.js";

export const name = "vae-training";

export const film = "vae-training";

export const filmParameters = ["beta"];

export const pace = 500;

export const parameters = [{ name: "beta", options: [0.2, 1, 4], start: 1 }];

export const right = 1;

const nats = (value) => value.toFixed(2).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");

export const words = {
  en: {
    title: "a VAE learns small pictures",
    beta: "Weight β of the KL in training",
    step: "Frame",
    question: "The pictures differ in two ways: which half of the upper rows is on (12 pixels agree on it), and whether the bottom row is on (4 pixels agree on it). What does the code tell after training with β = 4?",
    choices: ["Both, each less precisely than with β = 1", "The half alone: the other dimension becomes the prior for every picture", "Nothing: both dimensions become the prior"],
    because: "A first trace of the half in the code saves about 8 nats of reconstruction for each nat of KL, one of the bottom row about 3. If a nat of KL costs 4, only the half is worth it. The other dimension collapses: μ = 0 and σ = 1 for every picture, and its KL is 0.",
    encoder: (epoch) => `Encoder after ${epoch} ${epoch === 1 ? "epoch" : "epochs"}`,
    left: "left half on",
    rightHalf: "right half on",
    prior: "prior p(z), 1 and 2 sd",
    aggregate: "The 60 codes together, and the prior",
    together: "mean of the 60 q(z | x)",
    decoder: "Decoder: p(xᵢ = 1 | z) at 25 places z",
    bars: "Means over the 400 pictures of training",
    unit: "nats",
    bound: "ELBO = reconstruction − KL",
    objective: (beta) => `What training raises: reconstruction − ${beta} · KL`,
    elbo: "ELBO",
    objectiveMark: "sum",
    reconstruction: "reconstruction",
    kl: ["−KL of z₁", "−KL of z₂"],
    weighted: ["−β · KL of z₁", "−β · KL of z₂"],
    key: "Each ellipse is q(z | x) of one of 60 pictures, at 1 sd. It is filled if the bottom row of its picture is on, and hollow if it is off. β weighs the KL in training only; the ELBO has the weight 1.",
    describe: (values, at, { beta }) => {
      const one = values.frames[at];
      return `With β = ${beta}, after ${one.epoch} epochs: reconstruction ${nats(one.reconstruction)} nats, KL ${nats(one.kl[0])} nats for z₁ and ${nats(one.kl[1])} for z₂, ELBO ${nats(one.elbo)} nats.`;
    },
  },
  ko: {
    title: "작은 그림을 배워 가는 VAE",
    beta: "학습할 때 KL에 주는 가중치 β",
    step: "장면",
    question: "그림은 두 가지 점에서 서로 다릅니다. 위쪽 세 줄에서 어느 쪽 절반이 켜져 있는지(화소 12개가 알려 줍니다), 그리고 맨 아랫줄이 켜져 있는지(화소 4개가 알려 줍니다)입니다. β = 4로 학습하고 나면 코드는 무엇을 말해 줄까요?",
    choices: ["둘 다 말하지만, β = 1일 때보다 덜 정밀하다", "어느 쪽 절반인지만 말하고, 나머지 차원은 모든 그림에서 사전분포와 같아진다", "아무것도 말하지 않고, 두 차원 모두 사전분포와 같아진다"],
    because: "코드가 어느 쪽 절반인지를 조금 말하기 시작하면 KL 1 nat마다 재구성 항에서 약 8 nat을 벌고, 아랫줄에 대해서는 약 3 nat을 법니다. KL 1 nat의 값이 4 nat이면 절반만 말할 가치가 있습니다. 나머지 차원은 붕괴합니다. 곧 모든 그림에서 μ = 0, σ = 1이 되고 그 KL은 0이 됩니다.",
    encoder: (epoch) => `${epoch}에포크 뒤의 인코더`,
    left: "왼쪽 절반이 켜진 그림",
    rightHalf: "오른쪽 절반이 켜진 그림",
    prior: "사전분포 p(z), 1배와 2배",
    aggregate: "60개의 코드를 모두 합친 것과 사전분포",
    together: "q(z | x) 60개의 평균",
    decoder: "디코더: z의 25곳에서 p(xᵢ = 1 | z)",
    bars: "학습에 쓴 그림 400장에 대한 평균",
    unit: "nat",
    bound: "ELBO = 재구성 − KL",
    objective: (beta) => `학습이 키우는 값: 재구성 − ${beta} · KL`,
    elbo: "ELBO",
    objectiveMark: "합",
    reconstruction: "재구성",
    kl: ["−(z₁의 KL)", "−(z₂의 KL)"],
    weighted: ["−β · (z₁의 KL)", "−β · (z₂의 KL)"],
    key: "타원 하나는 그림 60장 가운데 한 장의 q(z | x)이고, 크기는 표준편차의 1배입니다. 그림의 아랫줄이 켜져 있으면 속을 채우고, 꺼져 있으면 비웁니다. β는 학습할 때만 KL에 곱하는 가중치이고, ELBO의 가중치는 언제나 1입니다.",
    describe: (values, at, { beta }) => {
      const one = values.frames[at];
      return `β = ${beta}로 ${one.epoch}에포크 학습한 뒤의 재구성 항은 ${nats(one.reconstruction)} nat, KL은 z₁이 ${nats(one.kl[0])} nat, z₂가 ${nats(one.kl[1])} nat, ELBO는 ${nats(one.elbo)} nat입니다.`;
    },
  },
};

const GRID = linspace(-3.5, 3.5, 33);
const LEVELS = [0.02, 0.05, 0.1, 0.2, 0.4];

// The mean of q(z | x) over the pictures shown, at each point of a grid: rows of z₂, columns of z₁.
function aggregate({ mu, sigma }) {
  const heights = (j) => mu.map((one, n) => GRID.map((z) => normal(z, one[j], sigma[n][j])));
  const [across, up] = [heights(0), heights(1)];
  return GRID.map((_, row) => {
    const total = GRID.map(() => 0);
    for (let n = 0; n < mu.length; n += 1) {
      for (let column = 0; column < total.length; column += 1) total[column] += (up[n][row] * across[n][column]) / mu.length;
    }
    return total;
  });
}

export function compute({ beta }, { side, places, groups, frames }) {
  return { side, places, groups, grid: GRID, frames: frames.map((one) => ({
    ...one,
    get aggregate() { return aggregate(one); }, // only of the frame that is looked at
    elbo: one.reconstruction - sum(one.kl),
    objective: one.reconstruction - beta * sum(one.kl),
  })) };
}

export function draw(picture, values, { frame, parameters: { beta }, words: text }) {
  const { side, places, groups } = values;
  const unit = [[1, 0], [0, 1]];
  const half = (at) => ["signal", "information"][groups[at][0]];
  const prior = (plot) => plot.ellipse([0, 0], unit, { color: "p", sds: 1, dash: "4 3" }).ellipse([0, 0], unit, { color: "p", sds: 2, dash: "4 3" });
  const space = { x: [-3.5, 3.5], y: [-3.5, 3.5], equal: true, xLabel: "z₁", yLabel: "z₂" };
  const encoder = prior(picture.plot({ ...space, title: text.encoder(frame.epoch) }));
  frame.mu.forEach((one, at) => {
    const [s1, s2] = frame.sigma[at];
    encoder.ellipse(one, [[s1 * s1, 0], [0, s2 * s2]], { color: half(at), sds: 1, fill: groups[at][1] ? 0.18 : 0, thick: 1 });
  });
  encoder.points(frame.mu, { color: half, size: 2 }).legend([[text.left, "signal"], [text.rightHalf, "information"], [text.prior, "p"]]);
  prior(picture.plot({ ...space, title: text.aggregate }).contours(frame.aggregate, { levels: LEVELS, color: "q" }))
    .legend([[text.together, "q"], [text.prior, "p"]]);

  const decoder = picture.plot({ ...space, x: [-2.5, 2.5], y: [-2.5, 2.5], title: text.decoder });
  const pixel = 0.8 / side;
  const pixels = [];
  places.forEach((z2, row) => places.forEach((z1, column) => {
    decoder.line([[z1 - 0.4, z2 - 0.4], [z1 + 0.4, z2 - 0.4], [z1 + 0.4, z2 + 0.4], [z1 - 0.4, z2 + 0.4]], { color: "line", thick: 1, close: true });
    frame.pictures[row * places.length + column].forEach((on, at) => {
      pixels.push([z1 - 0.4 + pixel * ((at % side) + 0.5), z2 + 0.4 - pixel * (Math.floor(at / side) + 0.5), on]);
    });
  }));
  decoder.points(pixels, { shape: "square", size: 6.6, opacity: (at) => pixels[at][2] });

  // z₂ has the color of the KL, lighter.
  const colors = ["kl", "var(--none, color-mix(in srgb, var(--figure-kl) 50%, transparent))"];
  const row = (label, names, weight, mark, value) => ({ label, mark: { value, label: mark }, parts: [
    { value: frame.reconstruction, color: "reconstruction", label: text.reconstruction },
    ...frame.kl.map((one, j) => ({ value: -weight * one, color: colors[j], label: names[j] })),
  ] });
  picture.bars({ title: text.bars, unit: text.unit, from: -14, to: 0, wide: false, rows: [
    row(text.bound, text.kl, 1, text.elbo, frame.elbo),
    row(text.objective(beta), text.weighted, beta, text.objectiveMark, frame.objective),
  ] });
  picture.say(text.key);
}
