// Words of the page in the browser's language, from one dictionary file a language; English where one is missing.
export const LANGUAGES = ['en', 'de', 'zh', 'es', 'ja'];
let words = {};

export async function load(languages = navigator.languages || [navigator.language]) {
  const found = languages.map((one) => one.toLowerCase().split('-')[0]).find((one) => LANGUAGES.includes(one)) || 'en';
  const file = async (name) => (await fetch(new URL(`words/${name}.json`, import.meta.url))).json();
  const [english, own] = await Promise.all([file('en'), found === 'en' ? {} : file(found)]);
  words = {...english, ...own};
  return found;
}

export const has = (key) => key in words;

// The words of a key, with {name} replaced; `other` (a plugin's own text) for a key that no dictionary has.
export function t(key, values = {}, other = key) {
  return (words[key] ?? other).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// Fill in what the markup names: data-t the text, data-label the name for screen readers, data-title the tooltip.
export function fill(root, values = {}) {
  for (const one of root.querySelectorAll('[data-t]')) one.textContent = t(one.dataset.t, values);
  for (const one of root.querySelectorAll('[data-label]')) one.setAttribute('aria-label', t(one.dataset.label, values));
  for (const one of root.querySelectorAll('[data-title]')) one.title = t(one.dataset.title, values);
}

export const seconds = (count) => count < 90 ? t('seconds', {n: Math.max(1, Math.round(count))}) : t('minutes', {n: Math.round(count / 60)});
export const bytes = (count) => count < 1e6 ? `${Math.max(1, Math.round(count / 1e3))} kB` : `${(count / 1e6).toFixed(1)} MB`;
