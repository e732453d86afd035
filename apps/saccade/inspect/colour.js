// One ramp for every number: lightness is monotone, so it reads without colour vision; hue only helps.

const dark = () => document.documentElement.dataset.theme === 'dark';

/** OKLCH to sRGB bytes (Ottosson 2020), clipped to what a screen shows. */
function oklch(lightness, chroma, hue) {
  const a = chroma * Math.cos(hue * Math.PI / 180), b = chroma * Math.sin(hue * Math.PI / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3;
  const linear = [4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
                  -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
                  -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s];
  return linear.map((x) => {
    const clipped = Math.min(1, Math.max(0, x));
    return Math.round(255 * (clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055));
  });
}

/** 256 colours from nothing (the panel's own colour) to most. */
const ramp = (() => {
  const made = {};
  return () => made[dark() ? 'dark' : 'light'] ??= Array.from({ length: 256 }, (_, i) => {
    const t = i / 255, bump = Math.sin(Math.PI * Math.min(1, t ** 0.75));
    if (dark()) return oklch(0.21 + 0.72 * t, 0.008 + 0.13 * bump + 0.09 * t, 290 - 190 * t);
    return oklch(1 - 0.72 * t, 0.002 + 0.125 * bump + 0.05 * t, 95 + 190 * t);
  });
})();

const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
const shade = (t) => ramp()[Math.round(255 * Math.min(1, Math.max(0, t || 0)))];
/** Ink that can be read on shade(t). */
const inkOn = (t) => (dark() ? (t > 0.5 ? '#0f1114' : '') : (t > 0.42 ? '#ffffff' : ''));
const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A scale from numbers to [0, 1]: `log` or not, and what its ends are called. */
function scaleOf(low, high, log, text = short) {
  const at = log ? Math.log2 : (x) => x, from = at(low), width = Math.max(at(high) - from, 1e-9);
  return { low, high, log, text, of: (x) => (log && !(x > 0) ? 0 : Math.min(1, Math.max(0, (at(x) - from) / width))) };
}

function legend(box, scale, what) {
  const stops = Array.from({ length: 9 }, (_, i) => css(shade(i / 8))).join(',');
  box.replaceChildren(make('span', {}, scale.text(scale.low)), make('i', { style: `background:linear-gradient(90deg,${stops})` }),
                      make('span', {}, scale.text(scale.high)), make('span', { class: 'dim' }, scale.log ? 'log' : ''),
                      make('span', { class: 'what' }, what));
}

/** A canvas in device pixels; returns its context scaled to CSS pixels, and its size in them. */
function fitted(canvas) {
  const { width, height } = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

function drawTheme() {
  const wanted = document.documentElement.dataset.theme;
  $('theme').textContent = wanted === 'dark' ? 'Light' : 'Dark';
}

/** The reader's choice, else the system's. */
function startTheme() {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const follow = () => { setTheme(system.matches ? 'dark' : 'light'); };
  system.addEventListener('change', follow);
  $('theme').addEventListener('click', () => setTheme(dark() ? 'light' : 'dark'));
  follow();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  drawTheme();
  set({ theme });
}
