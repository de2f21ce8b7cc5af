// What an app does with the client that is made of openapi.json. It is compiled,
// not run: that it compiles, and that the lines marked do not, is the check.
import type { components, paths } from "./api";

type Schemas = components["schemas"];

const sample: Schemas["Sample"] = {
  uuid: "0b9d1c8e-6a3f-4f0e-8c2d-1e2f3a4b5c6d",
  type: "HKQuantityTypeIdentifierHeartRate",
  start: "2026-11-20T06:58:01+01:00",
  end: "2026-11-20T06:58:01+01:00",
  value: 61,
  unit: "count/min",
  source: { bundleId: "com.apple.health", productType: "Watch7,5" },
  metadata: { HKTimeZone: "Europe/Berlin" },
};

export const envelope: Schemas["Envelope"] = {
  schema: "clarity.upload/1",
  installationId: "laptop",
  timeZone: "Europe/Berlin",
  samples: [sample],
  deleted: [{ uuid: sample.uuid, type: sample.type }],
};

// @ts-expect-error a misspelt member of a sample
export const misspelt: Schemas["Sample"] = { ...sample, vlaue: 61 };

export function asleep(week: Schemas["Week"]): number | null | undefined {
  // @ts-expect-error a metric that there is none of
  void week.result.sleep.total_sleep_tme_minutes;
  return week.result.sleep.total_sleep_time_minutes;
}

export function certainlyAsleep(week: Schemas["Week"]): number {
  // @ts-expect-error a metric may be null, and has its reason then
  return week.result.sleep.total_sleep_time_minutes;
}

export function why(rejection: Schemas["Rejection"], problem: Schemas["Problem"]): string {
  if (rejection.code === "a_code_of_next_year") return problem.code; // codes are open
  return rejection.code;
}

type Receipt = paths["/v1/uploads/{uploadId}"]["put"]["responses"]["202"]["content"]["application/json"];

export function left(receipt: Receipt): Schemas["Rejection"][] {
  return receipt.rejected;
}
