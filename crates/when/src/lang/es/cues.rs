//! Recognizes cues in Spanish words.

use std::{collections::HashMap, sync::LazyLock};

use super::numbers::cardinal;
use crate::{
    cue::Cue,
    lang::{At, Phrase, by_first_word},
};

pub(super) fn read(s: At<'_>) -> Option<(Cue, usize)> {
    static BY_FIRST: LazyLock<HashMap<&str, Vec<Phrase>>> = LazyLock::new(|| by_first_word(PHRASES));
    if let Some(cue) = choice(s) {
        return Some(cue);
    }
    let (cue, len) = s.lookup(BY_FIRST.get(s.word(0))?)?;
    match cue {
        Cue::No if matches!(s.word(1), "antes" | "mas" | "hay" | "se" | "te" | "pasa" | "importa") => None,
        Cue::Not if matches!(s.word(1), "antes" | "despues") => None,
        _ => Some((cue, len)),
    }
}

/// "La segunda", "el primero", "la última".
fn choice(s: At<'_>) -> Option<(Cue, usize)> {
    if !matches!(s.word(0), "la" | "el") {
        return None;
    }
    let n = match s.word(1) {
        "primera" | "primero" => 1,
        "segunda" | "segundo" => 2,
        "tercera" | "tercero" => 3,
        "ultima" | "ultimo" => -1,
        _ => return None,
    };
    let noun = matches!(s.word(2), "opcion" | "hora");
    let alone = s.token(2).is_none_or(|t| t.is_stop()) && cardinal(s.on(2)).is_none();
    (noun || alone).then_some((Cue::Choice(n), 2 + usize::from(noun)))
}

#[rustfmt::skip]
const PHRASES: &[(Cue, &[&str])] = &[
    (Cue::CallMe, &[
        "llameme", "llamame", "llamenme", "llamadme", "llamarme", "llamarnos", "llamenos", "llamanos", "me llame", "me llames", "me llama", "me llaman", "me llamen", "nos llame", "nos llamen", "me puede llamar", "me puedes llamar", "me podria llamar", "me podrias llamar", "me pueden llamar", "me vuelve a llamar", "me vuelvan a llamar", "me vuelva a llamar", "volver a llamarme", "vuelva a llamar", "vuelve a llamar", "vuelvame a llamar", "vuelveme a llamar", "vuelva a llamarme", "vuelve a llamarme", "vuelvan a llamar", "llamar de nuevo", "llame de nuevo", "puede llamar", "puedes llamar", "podria llamar", "podrias llamar", "pueden llamar", "llame a las", "marqueme", "marcame", "marquenme", "me marca", "me marque", "me marcas", "marcarme", "marcarle", "echeme una llamada", "devuelvame la llamada", "devolverme la llamada", "me devuelva", "me devuelve", "telefoneeme", "hableme", "hablame", "me habla", "me hable", "hablarme", "contacteme", "contactarme", "me contacte", "me contactan", "escribame", "buscame", "busqueme", "intente", "intentalo", "intentelo", "llame otra vez", "llamame otra vez", "pruebe", "me pegas un telefonazo", "deme un toque", "dame un toque", "me echas un fono", "deme una llamada", "pegame un llamado", "un llamado", "me llamas", "llamas", "llame", "llamen", "llamada de vuelta", "me llamas vos", "llamame vos",
    ]),
    (Cue::Callback, &["una llamada", "la llamada", "otra llamada"]),
    (Cue::Talk, &["hablamos", "hablemos", "hablar", "conversar", "platicar", "platicamos"]),
    (Cue::ICall, &[
        "yo llamo", "yo le llamo", "yo te llamo", "yo les llamo", "yo lo llamo", "ya llamo", "ya les llamo", "ya le llamo", "ya te llamo", "llamo yo", "les llamo yo", "le llamo yo", "te llamo yo", "los llamo yo", "yo los llamo", "yo la llamo", "vuelvo a llamar", "vuelvo a llamarle", "vuelvo a llamar yo", "les vuelvo a llamar", "yo vuelvo a llamar", "ya vuelvo a llamar", "les llamo", "los llamo", "les marco", "yo les marco", "yo le marco", "yo te marco", "les aviso", "le aviso", "te aviso", "les avisare", "yo aviso", "ya aviso", "yo me comunico", "me comunico yo", "me comunico con ustedes", "olvidelo", "olvidalo", "dejelo asi", "dejalo asi", "les escribo", "le escribo", "te escribo", "yo paso", "paso yo", "ya paso", "mejor paso", "prefiero llamar yo", "prefiero llamarles", "los busco yo",
    ]),
    (Cue::CallYou, &[
        "le llamo", "te llamo", "lo llamo", "la llamo", "le llamare", "te llamare", "les llamare", "le llamamos", "te llamamos", "lo llamamos", "la llamamos", "le llamaremos", "le vuelvo a llamar", "te vuelvo a llamar", "le marco", "te marco", "le marcamos", "lo marcamos", "te marcamos", "llamarle", "llamarlo", "llamarla", "llamarte", "llamarles", "le puedo llamar", "puedo llamarle", "puedo llamarte", "te puedo llamar", "podemos llamarle", "le podemos llamar", "podria llamarle", "le llaman", "te llaman", "lo llaman", "la llaman", "le llama", "te llama", "lo llama", "la llama", "la contactamos", "lo contactamos", "le contactamos", "queda agendado", "quedamos a", "le agendo", "lo agendo", "te agendo", "la agendo", "le anoto", "lo anoto", "la anoto", "te anoto", "le apunto", "le hablamos", "te hablo", "le hablo", "que le llamen", "que te llamen", "que lo llamen", "que la llamen", "que le llame", "que te llame", "que lo llame", "que la llame",
    ]),
    (Cue::Now, &["ahora puedo", "ahora si puedo", "ahora mismo puedo", "puedo ahora", "digame ahora", "hagamoslo ahora", "aprovechemos ahora", "ya que estamos"]),
    (Cue::CallOther, &[
        "llame a mi", "llamen a mi", "llama a mi", "llamele", "llamela", "llamelo", "llamale", "hable con mi", "hablen con mi", "habla con mi", "marquele", "marcale", "llamen a", "que llame a mi", "hablar con mi", "llamar a mi", "hablar con el", "hablar con ella",
    ]),
    (Cue::NoCall, &[
        "no me vuelva a llamar", "que me vuelvan a llamar", "no quiero que me vuelvan a llamar", "mejor no me marque", "ni nunca", "le doy de baja",
        "no me llame", "no me llamen", "no me llames", "no llame", "no llamen", "no llames", "no vuelva a llamar", "no vuelvan a llamar", "no vuelvas a llamar", "no quiero que me llamen", "no quiero llamadas", "no quiero mas llamadas", "no hace falta que llame", "no hace falta que me llame", "no hace falta que me llamen", "no hace falta", "no es necesario", "no me interesa", "no estoy interesado", "no estoy interesada", "no nos interesa", "dejen de llamar", "deje de llamar", "dejen de llamarme", "borreme", "borrenme", "quiteme de", "quitenme de", "numero equivocado", "esta equivocado", "no gracias", "no me marque", "no me marquen", "mejor no", "no molesten", "no insista",
    ]),
    (Cue::Works, &[
        "me viene bien", "me viene mejor", "me viene perfecto", "me va bien", "me va mejor", "me conviene", "me conviene mas", "me queda bien", "me queda mejor", "me queda perfecto", "me sirve", "me parece bien", "me parece", "me acomoda", "me acomoda mas", "esta bien", "estaria bien", "seria mejor", "seria ideal", "es mejor", "va mejor", "va bien", "mejor", "puedo hablar", "puedo atender", "puedo atenderle", "puedo contestar", "estoy libre", "estare libre", "voy a estar libre", "estoy disponible", "estare disponible", "quedo libre", "me desocupo", "ya estoy libre", "tengo tiempo", "prefiero", "preferiria", "cuando quiera", "genial", "puedo a las", "puedo el", "si puedo", "yo puedo", "estoy en casa", "estare en casa", "perfecto para mi", "le parece bien", "le parece", "te parece", "le viene bien", "te viene bien", "le va bien", "te va bien", "le queda bien", "te queda bien", "le conviene", "le sirve",
    ]),
    (Cue::Propose, &["que tal", "que le parece", "que te parece", "y si", "digamos", "pongamos", "quedamos", "podria ser", "puede ser", "podemos", "seria", "a ver si", "tal vez", "quiza", "quizas", "ponle", "pongale", "dejemoslo", "dejalo", "dejelo"]),
    (Cue::Correct, &["no mejor", "mejor dicho", "perdon", "digo", "quise decir", "no espera", "no espere", "espera", "espere", "corrijo", "me equivoque", "pensandolo bien", "en realidad", "la verdad", "disculpe", "miento", "no no"]),
    (Cue::Refuse, &["no puedo", "no podre", "no me viene bien", "no me va bien", "no me conviene", "no me queda", "no me sirve", "imposible", "muy temprano", "muy tarde", "demasiado temprano", "demasiado tarde", "demasiado pronto", "muy pronto", "estoy ocupado", "estoy ocupada", "no estoy", "no voy a estar", "no estare", "trabajo ese dia", "no tengo", "complicado", "esta complicado", "lo tengo complicado"]),
    (Cue::Yes, &["hasta luego", "hasta pronto", "hasta manana", "hasta entonces", "nos vemos", "ahi si", "venga", "conforme", "ya pues", "ya", "asi si", "si asi", "claro que si", "si", "claro", "vale", "de acuerdo", "perfecto", "muy bien", "ok", "okey", "bueno", "bien", "correcto", "exacto", "exactamente", "eso es", "asi es", "listo", "dale", "por supuesto", "como no", "con gusto", "estupendo", "sale", "orale", "va", "anotado", "hecho", "desde luego", "sin problema", "ahi esta", "barbaro", "joya", "sip", "aja"]),
    (Cue::No, &["no", "nop", "nel", "tampoco"]),
    (Cue::Not, &["no el", "no a", "no la", "no los", "excepto", "menos el", "salvo", "en vez de", "en lugar de"]),
    (Cue::Event, &["salgo", "salgo de", "sale de", "salgo del trabajo", "trabajo", "trabajo hasta", "termino", "acabo", "acaba", "termina", "empieza", "empiezo", "entro", "reunion", "junta", "cita", "medico", "dentista", "clase", "clases", "turno", "vuelo", "aterrizo", "aterriza", "llego", "llega", "llego a casa", "recojo", "recoger", "dejo a los ninos", "comida", "almuerzo", "cena", "vacaciones", "estoy de viaje", "de viaje", "viajo", "vuelvo", "regreso", "estoy en una reunion", "estoy en", "tengo que", "tengo una", "tengo un", "tengo", "gimnasio", "manejando", "conduciendo", "me levanto", "me acuesto", "descanso", "mi descanso", "hora de comer", "estoy hasta", "ocupado hasta", "ocupada hasta", "hasta que", "guardia", "partido", "misa", "boda", "examen", "terapia"]),
    (Cue::Hours, &["abren", "abre", "abrimos", "cierran", "cierra", "cerramos", "horario", "nuestro horario", "atendemos", "atienden", "atencion", "abierto", "abiertos", "cerrado", "cerrados", "estamos de"]),
    (Cue::Past, &["ayer", "anoche", "anteayer", "hace", "llamaron", "llamo ayer", "me llamaron", "llame ayer", "me dijeron", "dijo", "dijeron", "fue", "era", "pedi", "compre", "pasado", "la semana pasada", "esperando", "llevo", "recibi", "ya llame", "he llamado", "llego ayer", "hice"]),
    (Cue::Visit, &["ando por", "que venga", "para una cita", "una cita", "la esperamos", "lo esperamos", "le puedo mandar a alguien", "va para alla", "hablaremos", "entrega", "entregan", "entregaran", "reparto", "repartidor", "tecnico", "instalacion", "instalador", "pedido", "paquete", "envio", "reservar", "reserva", "una mesa", "pedir cita", "agendar una cita", "sacar cita", "cambiar mi cita", "mi cita", "su cita", "la cita", "le esperamos", "pasar por", "paso por", "vienen", "viene el", "venir", "visita", "vence", "vencimiento", "pago", "factura", "oferta", "promocion", "termina la oferta"]),
    (Cue::Send, &["correo", "un correo", "email", "mandeme", "mandame", "enviame", "envieme", "mandarme", "enviarme", "un mensaje", "whatsapp", "escriba"]),
    (Cue::AfterThat, &["despues de eso", "despues", "justo despues", "ni bien salgo", "ni bien salga", "ni bien termine", "apenas salga", "apenas salgo", "apenas termine", "apenas llegue", "saliendo de ahi", "nada mas salir", "nada mas llegar", "cuando salga", "cuando termine", "cuando acabe", "cuando llegue", "en cuanto salga", "en cuanto termine", "en cuanto llegue", "al salir", "a la salida", "al terminar", "despues de la reunion", "despues de mi turno", "despues de clase", "despues del vuelo"]),
    (Cue::BeforeThat, &["antes de eso", "antes de irme", "antes de salir", "antes de que salga"]),
    (Cue::AtThat, &["entonces", "a esa hora", "en ese momento", "ahi", "en ese rato", "en esa franja"]),
    (Cue::AsksNow, &["que hora es", "que horas son", "que hora es alla", "que hora tienen"]),
    (Cue::AsksWhen, &["a que hora", "que hora", "cuando", "que dia", "manana o tarde", "de la manana o de la tarde", "por la manana o por la tarde"]),
    (Cue::Later, &["retrasarlo", "retrasamos", "posponerlo", "correrlo", "moverlo"]),
    (Cue::Fallback, &["si no contesto", "si no puedo", "si no respondo", "si no", "de lo contrario", "si no me encuentra", "y si no"]),
    (Cue::Greeting, &["deje su mensaje", "deja tu mensaje", "deje un mensaje", "deja un mensaje", "despues del tono", "despues de la senal", "buzon de voz", "ha llamado a", "no puedo atender", "no podemos atender", "no esta disponible"]),
    (Cue::Third, &["el llega", "ella llega", "suele estar", "suele llegar", "el esta", "ella esta", "mi marido esta", "mi mujer esta", "mi esposo esta", "mi esposa esta", "mi jefe", "no se encuentra", "el vuelve", "ella vuelve"]),
    (Cue::Unsure, &["no se cuando", "cuando sea", "cuando pueda", "cuando quieran", "en otro momento", "otro dia", "mas adelante", "si llega", "si baja"]),
    (Cue::Measure, &["anos", "euros", "dolares", "pesos", "por ciento", "mi numero", "mi telefono", "numero de", "nacimiento", "naci", "calle", "codigo", "edad", "cumple", "kilos", "tiene anos"]),
];
