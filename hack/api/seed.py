"""Prints one clarity.upload/1 body: a plain week, so that every route has something to show."""
import datetime
import json
import uuid

start = datetime.datetime(2026, 11, 9, tzinfo=datetime.timezone.utc)
samples = []


def add(kind, begin, minutes, value, unit, product):
    end = begin + datetime.timedelta(minutes=minutes)
    sample = {
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind} {begin} {product}")),
        "type": kind, "start": begin.isoformat(), "end": end.isoformat(), "value": value,
        "source": {"bundleId": "com.apple.health", "productType": product},
    }
    if unit:
        sample["unit"] = unit
    samples.append(sample)


for day in range(8):
    midnight = start + datetime.timedelta(days=day)
    for quarter in range(28, 92):
        at = midnight + datetime.timedelta(minutes=15 * quarter)
        add("HKQuantityTypeIdentifierStepCount", at, 15, 50 + 13 * (quarter * day % 31), "count", "Watch7,5")
        add("HKQuantityTypeIdentifierActiveEnergyBurned", at, 15, 4 + quarter % 17, "kcal", "Watch7,5")
    for quarter in range(96):
        at = midnight + datetime.timedelta(minutes=15 * quarter)
        add("HKQuantityTypeIdentifierHeartRate", at, 0, 52 + quarter % 40, "count/min", "Watch7,5")
    for stage, hour in ((3, 0), (4, 2), (5, 4), (3, 5)):
        add("HKCategoryTypeIdentifierSleepAnalysis", midnight + datetime.timedelta(hours=hour), 60, stage, "", "Watch7,5")

print(json.dumps({
    "schema": "clarity.upload/1", "installationId": "api-check", "timeZone": "Europe/Berlin", "samples": samples,
    "deleted": [], "cursor": {"HKQuantityTypeIdentifierStepCount": "anchor-1"}, "stage": "historical", "final": True,
}))
