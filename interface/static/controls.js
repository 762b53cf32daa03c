// Form controls made from the fields of a plugin's Params and of the host's options.
import {make} from './dom.js';
import {t} from './words.js';

const MAX_SLIDER_SPAN = 10000;  // a number with a wider range, such as a seed, is typed
let count = 0;

// `scope`: the plugin's id, or "host": dictionaries have words of their own for known fields. `changed(value)`.
export function control(field, scope, value, changed) {
  const id = `lp-field-${++count}`;
  const key = `${scope}.${field.name}`;
  const label = t(key, {}, field.label || field.name);
  const help = t(`${key}.help`, {}, field.help || '');
  const hint = help && make('p', {class: 'lp-hint', id: `${id}-help`}, help);
  const common = {id, 'aria-describedby': help ? `${id}-help` : null};
  const whole = (...parts) => make('div', {class: 'lp-field'}, ...parts, hint || null);
  if (field.kind === 'bool') {
    const box = make('input', {...common, type: 'checkbox', checked: Boolean(value), onchange: () => changed(box.checked)});
    return whole(make('label', {class: 'lp-check', for: id}, box, make('span', {}, label)));
  }
  if (field.choices) {
    const choices = field.choices.map((one) => [one, t(`${key}.${one}`, {}, String(one).replaceAll('_', ' '))]);
    return whole(make('label', {for: id}, label), choice(common, choices, value, changed));
  }
  if (field.kind === 'int' || field.kind === 'float') {
    const {minimum: low, maximum: high} = field;
    const step = field.kind === 'int' ? 1 : 0.01;
    if (low == null || high == null || high - low > MAX_SLIDER_SPAN) {
      const box = make('input', {...common, type: 'number', min: low, max: high, step, value, oninput: () => changed(box.value === '' ? field.default : Number(box.value))});
      return whole(make('label', {for: id}, label), box);
    }
    const shown = make('output', {for: id}, String(value));
    const range = make('input', {...common, type: 'range', min: low, max: high, step, value, oninput: () => { shown.textContent = range.value; changed(Number(range.value)); }});
    return whole(make('label', {for: id}, make('span', {}, label), shown), range);
  }
  const text = make('input', {...common, type: 'text', value: value ?? '', oninput: () => changed(text.value)});
  return whole(make('label', {for: id}, label), text);
}

// A list to choose from; `choices`: [value, words].
export function choice(attributes, choices, value, changed) {
  const list = make('select', attributes, ...choices.map(([one, words], index) => make('option', {value: index, selected: one === value}, words)));
  list.onchange = () => changed(choices[list.value][0]);
  return list;
}
