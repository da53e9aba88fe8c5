/** Choice is an option of a list: what is saved, and the words for it. */
export interface Choice {
  value: string;
  label: string;
  group?: string;
}

export const themes: Choice[] = ['System', 'Light', 'Dark'].map((label) => ({ value: label.toLowerCase(), label }));

const languages = new Intl.DisplayNames('en', { type: 'language', languageDisplay: 'standard' });

const common =
  'ar bg bn ca cs da de de-AT de-CH el en-AU en-CA en-GB en-IN en-US es es-MX et fi fr fr-CA fr-CH he hi hr hu id it it-CH ja ko lt lv nb nl nl-BE pl pt-BR pt-PT ro ru sk sl sr sv th tr uk vi zh-CN zh-TW';

/** locales returns common languages and those of the browser. */
export function locales(): Choice[] {
  return [...new Set([...common.split(' '), ...navigator.languages])]
    .map((tag) => ({ value: tag, label: languages.of(tag) ?? tag }))
    .sort((a, b) => a.label.localeCompare(b.label, 'en'));
}

/**
 * timeZones returns UTC and the time zones that the browser knows.
 * America/Indiana/Knox is "Knox, Indiana" in the group America.
 */
export function timeZones(): Choice[] {
  return [...new Set(['UTC', ...Intl.supportedValuesOf('timeZone')])].map((name) => {
    const [group, ...places] = name.replaceAll('_', ' ').split('/');
    return places.length > 0 ? { value: name, label: places.reverse().join(', '), group } : { value: name, label: name };
  });
}

/** groups returns the choices by group. It adds values that another client saved. */
export function groups(choices: Choice[], ...values: string[]): [group: string, choices: Choice[]][] {
  const added = [...new Set(values)].filter((value) => !choices.some((choice) => choice.value === value));
  const all: Choice[] = [...choices, ...added.map((value) => ({ value, label: value }))];
  return [...Map.groupBy(all, ({ group }) => group ?? '')];
}

/** labelIn returns the words for a value, chosen from a list or typed. */
export function labelIn(choices: Choice[] | undefined, value: string): string {
  return choices?.find((choice) => choice.value === value)?.label ?? (value || 'nothing');
}
