// A phone by Firebase's own SDK: it does what it is told, a line of JSON each on standard
// input, and says what came of it, a line each. Its arguments are the project, and where
// Firebase Authentication is, and Firestore's HOST:PORT if that is to be listened to.
import { createInterface } from 'node:readline'
import { initializeApp } from 'firebase/app'
import {
  connectAuthEmulator, createUserWithEmailAndPassword, deleteUser, inMemoryPersistence, initializeAuth,
  signInAnonymously, signInWithEmailAndPassword, signOut,
} from 'firebase/auth'
import { connectFirestoreEmulator, doc, initializeFirestore, onSnapshot } from 'firebase/firestore'

const [project, authUrl, firestoreHost, database] = process.argv.slice(2)
const app = initializeApp({ projectId: project, apiKey: 'any' })
const auth = initializeAuth(app, { persistence: inMemoryPersistence })
connectAuthEmulator(auth, authUrl, { disableWarnings: true })

let db
const firestore = () => {
  if (!db) {
    const [host, port] = firestoreHost.split(':')
    db = initializeFirestore(app, {}, database || '(default)')
    connectFirestoreEmulator(db, host, Number(port))
  }
  return db
}

const say = (what) => process.stdout.write(JSON.stringify(what) + '\n')
const who = async (fresh) => ({ uid: auth.currentUser.uid, token: await auth.currentUser.getIdToken(fresh) })
const deeds = {
  signUp: async ({ email, password }) => { await createUserWithEmailAndPassword(auth, email, password); return who() },
  signIn: async ({ email, password }) => { await signInWithEmailAndPassword(auth, email, password); return who() },
  nobody: async () => { await signInAnonymously(auth); return who() },
  refresh: () => who(true),
  signOut: async () => { await signOut(auth); return {} },
  delete: async () => { await deleteUser(auth.currentUser); return {} },
  // What a document holds is said whenever it changes, behind the answer.
  watch: ({ path }) => new Promise((resolve) => {
    onSnapshot(doc(firestore(), path),
      (seen) => { resolve({}); say({ seen: path, data: seen.data() ?? null }) },
      (err) => { resolve({}); say({ seen: path, code: err.code }) })
  }),
}

for await (const line of createInterface({ input: process.stdin })) {
  const { do: deed, ...rest } = JSON.parse(line)
  try {
    say({ did: deed, ...await deeds[deed](rest) })
  } catch (err) {
    say({ did: deed, code: err.code ?? String(err) })
  }
}
process.exit(0)
