/* The usual crons as people say them; of the others the expression itself. */

const NICKNAMES: Record<string, string> = {
  "@hourly": "every hour",
  "@daily": "every day at 00:00",
  "@midnight": "every day at 00:00",
  "@weekly": "every Sunday at 00:00",
  "@monthly": "on day 1 of every month at 00:00",
  "@yearly": "every year on 1 January at 00:00",
  "@annually": "every year on 1 January at 00:00",
};
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const SHORT_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

export function cronInWords(cron: string): string {
  const text = cron.trim();
  return NICKNAMES[text.toLowerCase()] ?? said(text.split(/\s+/)) ?? `at \`${text}\``;
}

function said(fields: string[]): string | null {
  if (fields.length === 6 && fields[0] === "0") return said(fields.slice(1));
  const [minute, hour, day, month, weekday] = fields;
  if (fields.length !== 5 || month !== "*" || minute === undefined || hour === undefined) return null;
  if (day === undefined || weekday === undefined) return null;
  const on = dayWords(day, weekday);
  if (on === null) return null;
  const step = /^\*\/(\d+)$/;
  const isEveryDay = on === "every day";
  const also = isEveryDay ? "" : `, ${on}`;
  if (hour === "*" && minute === "*") return `every minute${also}`;
  if (hour === "*" && step.test(minute)) return `every ${step.exec(minute)?.[1] ?? ""} minutes${also}`;
  if (hour === "*" && isNumber(minute)) {
    return minute === "0" ? `every hour${also}` : `every hour, ${minute} minutes past${also}`;
  }
  if (minute === "0" && step.test(hour)) return `every ${step.exec(hour)?.[1] ?? ""} hours${also}`;
  if (!isNumber(minute) || !/^\d+(,\d+)*$/.test(hour)) return null;
  const at = hour.split(",").map((one) => `${one.padStart(2, "0")}:${minute.padStart(2, "0")}`);
  return `${on} at ${at.join(" and ")}`;
}

function dayWords(day: string, weekday: string): string | null {
  if (day === "*" && weekday === "*") return "every day";
  if (day === "*") return weekdayWords(weekday);
  return weekday === "*" && isNumber(day) ? `on day ${day} of every month` : null;
}

function weekdayWords(weekday: string): string | null {
  if (/^(1-5|MON-FRI)$/i.test(weekday)) return "Monday to Friday";
  const days = weekday.split(",").map((one) => {
    const short = SHORT_DAYS.indexOf(one.toUpperCase());
    return DAYS[short >= 0 ? short : isNumber(one) ? Number(one) : -1];
  });
  return days.includes(undefined) ? null : `every ${days.join(" and ")}`;
}

function isNumber(text: string): boolean {
  return /^\d+$/.test(text);
}
