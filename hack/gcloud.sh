#!/usr/bin/env bash
# gcloud.sh PROJECT LOCATION — makes in a project of Google Cloud what the platform's
# data plane needs, as config/ says: databases with their indexes, times to live, daily
# copies and the rules that phones read by, topics and subscriptions with their dead
# letters, buckets and a key. It is for projects without Config Connector, by which the
# chart makes the same but for what that has no object for: `gcloud.sh PROJECT rules`
# deploys the rules alone, `gcloud.sh PROJECT protect` has databases refuse to be deleted,
# and `gcloud.sh PROJECT indexes` turns off the indexes that no query uses. A test holds it
# against config/. What is there already is left, so that it can be run again; rights, the
# cluster and who signs in are not its affair. PREFIX
# (in the environment) stands before the names of buckets, which nobody else in the world
# may have; DATABASE is the one of documents where it is not called clarity.
set -euo pipefail
project=${1:?gcloud.sh PROJECT LOCATION} location=${2:?gcloud.sh PROJECT LOCATION}
prefix=${PREFIX:-$project} documents=${DATABASE:-clarity}
config=$(cd "$(dirname "$0")/../config" && pwd)

# rules deploys the rules by which phones read: a set of them, and the release of the
# database, which is made or led to the set. Neither gcloud nor Config Connector can.
rules() {
  local at=https://firebaserules.googleapis.com/v1/projects/$project token text set release
  token=$(gcloud auth print-access-token --project="$project")
  send() {
    curl --silent --show-error --fail --header @<(printf 'Authorization: Bearer %s\n' "$token") --header "X-Goog-User-Project: $project" \
      --header 'Content-Type: application/json' "$@"
  }
  text=$(<"$config/firestore/firestore.rules")
  text=${text//\\/\\\\} text=${text//\"/\\\"} text=${text//$'\t'/\\t} text=${text//$'\n'/\\n}
  set=$(send --data '{"source":{"files":[{"name":"firestore.rules","content":"'"$text"'\n"}]}}' "$at/rulesets" |
    sed -n 's/.*"name": *"\(projects\/[^"]*\/rulesets\/[^"]*\)".*/\1/p' | head -1)
  [ -n "$set" ] || { echo "gcloud.sh: the rules were not taken" >&2; return 1; }
  release='{"name":"projects/'$project'/releases/cloud.firestore/'$documents'","rulesetName":"'$set'"}'
  send --request PATCH --data '{"release":'"$release"'}' "$at/releases/cloud.firestore/$documents" >/dev/null 2>&1 ||
    send --data "$release" "$at/releases" >/dev/null
}

# protect has the databases of documents and of keys refuse to be deleted.
protect() {
  local database
  for database in "$documents" keys; do
    gcloud firestore databases update --database="$database" --project="$project" --delete-protection
  done
}

# indexes turns off those that no query uses, in each database: of documents three fields are
# indexed, and nothing else. What expires goes by itself.
indexes() {
  local database collection
  field() {
    gcloud firestore indexes fields update "$2" --collection-group="$1" --database="$database" --project="$project" --async "${@:3}"
  }
  for database in "$documents" keys queue; do
    field documents '*' --disable-indexes
    field documents a --index=order=ascending
    field documents k --index=order=ascending --index=order=descending
    field documents w --index=order=ascending
    for collection in events feeds insights results; do
      field "$collection" '*' --disable-indexes
    done
    for collection in events insights results; do
      gcloud firestore fields ttls update expires --collection-group="$collection" --database="$database" --project="$project" --enable-ttl --async
    done
  done
}
case $location in rules | protect | indexes) "$location"; exit ;; esac

# made KIND… NAME ARGUMENTS… — creates what is not there.
made() {
  local words=() name
  while [[ ${2:--} != -* ]]; do words+=("$1"); shift; done
  name=$1; shift
  gcloud "${words[@]}" describe "$name" --project="$project" "${where[@]}" >/dev/null 2>&1 ||
    gcloud "${words[@]}" create "$name" --project="$project" "${where[@]}" "$@"
}
where=()

gcloud services enable --project="$project" firestore.googleapis.com pubsub.googleapis.com storage.googleapis.com \
  cloudkms.googleapis.com identitytoolkit.googleapis.com monitoring.googleapis.com firebaserules.googleapis.com

# Databases: people's documents, wrapped keys (of which no copy may outlive a key:
# neither point-in-time recovery nor backups), and what Pub/Sub has no place for.
database() {
  gcloud firestore databases describe --database="$1" --project="$project" >/dev/null 2>&1 ||
    gcloud firestore databases create --database="$1" --project="$project" --location="$location" --type=firestore-native "${@:2}"
}
database "$documents" --enable-pitr
database keys
database queue
protect

indexes

# Documents are copied each day, and each copy is kept for seven: what is sealed in one opens by
# keys of which there is no copy.
[ -n "$(gcloud firestore backups schedules list --database="$documents" --project="$project" --format='value(name)')" ] ||
  gcloud firestore backups schedules create --database="$documents" --project="$project" --recurrence=daily --retention=604800s
rules

# Topics, what was given up, and who reads them.
subscriptions=(
  analyses.analyse events.feed exports.exports history.intake results.feed results.insights uploads.intake wakes.wakes webhooks.webhooks
)
for topic in analyses events exports history results uploads wakes webhooks; do
  made pubsub topics "$topic" --message-storage-policy-allowed-regions="$location"
  made pubsub topics "$topic.lost" --message-storage-policy-allowed-regions="$location"
  made pubsub subscriptions "$topic.lost" --topic="$topic.lost" --ack-deadline=60 --message-retention-duration=604800s --expiration-period=never
done
for subscription in "${subscriptions[@]}"; do
  topic=${subscription%.*}
  made pubsub subscriptions "$subscription" --topic="$topic" --ack-deadline=60 --enable-message-ordering \
    --message-retention-duration=604800s --expiration-period=never --min-retry-delay=1s --max-retry-delay=60s \
    --dead-letter-topic="$topic.lost" --max-delivery-attempts=100
done

# Objects. What is deleted there is gone: no soft delete, no versions.
made storage buckets "gs://$prefix-objects" --location="$location" --uniform-bucket-level-access --public-access-prevention --soft-delete-duration=0
gcloud storage buckets update "gs://$prefix-objects" --lifecycle-file="$config/gcs/lifecycle.json" --project="$project"

# The audit log. What is written there stays for seven years: lock it once its first entries verify.
made storage buckets "gs://$prefix-audit" --location="$location" --uniform-bucket-level-access --public-access-prevention --soft-delete-duration=604800s --retention-period=220924800s
gcloud storage buckets update "gs://$prefix-audit" --lifecycle-file="$config/gcs/audit/lifecycle.json" --project="$project"

# Models: what is replaced there stays for who has it in use.
made storage buckets "gs://$prefix-models" --location="$location" --uniform-bucket-level-access --public-access-prevention --soft-delete-duration=604800s
gcloud storage buckets update "gs://$prefix-models" --versioning --project="$project"

# The key that wraps all others.
where=(--location="$location")
made kms keyrings clarity
where+=(--keyring=clarity)
made kms keys kek --purpose=encryption --rotation-period=90d --next-rotation-time="$(date -u -d '+90 days' +%Y-%m-%dT%H:%M:%SZ)" --destroy-scheduled-duration=30d
