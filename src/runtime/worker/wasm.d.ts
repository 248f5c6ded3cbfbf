// wrangler compiles WebAssembly ahead: importing a file gives its module.
declare module '*.wasm' {
  const module: WebAssembly.Module
  export default module
}
